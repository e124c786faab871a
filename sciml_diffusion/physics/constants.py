"""Constants of solvers in the precision and on the device of what they are solved in."""

import torch
from torch import Tensor


class Constants:
    """Tensors that are handed out in the precision and on the device of a state, converted once for each.

    A copy to a GPU at every stage would make the host wait for it. Integers keep their type; tensors that record
    gradients are converted anew each time.

    Arguments:
        tensors: of any shape; complex where the states are.
    """

    def __init__(self, *tensors: Tensor):
        self._exact, self._cast = tensors, {}
        self._fixed = not any(t.requires_grad for t in tensors)

    def like(self, v: Tensor) -> tuple[Tensor, ...]:
        """The tensors with the dtype and on the device of v, which has any shape."""
        if not self._fixed:
            return self._converted(v)
        key = (v.dtype, v.device)
        if key not in self._cast:
            with torch.inference_mode(False):  # later calls may record gradients
                self._cast[key] = self._converted(v)
        return self._cast[key]

    def _converted(self, v: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.to(v.device, t.dtype if t.dtype == torch.int64 else v.dtype) for t in self._exact)
