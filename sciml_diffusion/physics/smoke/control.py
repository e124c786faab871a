"""A control in the rim: a force or a velocity that is held between frames."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .scene import Scene

KINDS = ("force", "velocity")


@dataclass(frozen=True, eq=False)
class Control:
    """Values c_k held on [k interval, (k + 1) interval), applied in the rim of a scene only.

    Arguments:
        values: along y and x, at cell centres, with shape (B | 1, 2, F, Y, X); a tensor that needs gradients gets them.
        interval: time between frames, > 0.
        kind: "force", an acceleration; or "velocity", which the air of the rim is given before each projection (the
            control of WDNO).

    Raises:
        ValueError: where the shape, the interval or the kind is none of these.
    """

    values: Tensor
    interval: float
    kind: str = "force"

    def __post_init__(self):
        if self.values.ndim != 5 or self.values.shape[1] != 2 or not self.interval > 0 or self.kind not in KINDS:
            raise ValueError(
                f"a control needs values of shape (B | 1, 2, F, Y, X), an interval > 0 and a kind among {KINDS}; got "
                f"{tuple(self.values.shape)}, {self.interval} and {self.kind!r}"
            )

    def at(self, time: float, scene: Scene) -> Tensor:
        """Values at a time, zero outside the rim: shape (B | 1, 2, Y, X).

        Raises:
            ValueError: where the control ends before that time, or does not lie on the scene's cells.
        """
        frame, count = int(time / self.interval + 1e-6), self.values.shape[2]
        if frame >= count or tuple(self.values.shape[-2:]) != scene.sizes:
            raise ValueError(
                f"the control has {count} frames of {self.interval:g} on {tuple(self.values.shape[-2:])} cells; "
                f"time {time:g} on {scene.sizes} cells was asked for"
            )
        return self.values[:, :, frame] * scene.rim.to(self.values)

    def bound(self) -> float:
        """Largest absolute value."""
        return float(self.values.detach().abs().max()) if self.values.numel() else 0.0

    def broadcast(self, batch: int) -> bool:
        """Whether the control fits a number of samples."""
        return self.values.shape[0] in (1, batch)


def rim_faces(scene: Scene) -> tuple[Tensor, Tensor]:
    """Faces with a cell of the rim on at least one side, 1 or 0, float64: normal to y (Y + 1, X), to x (Y, X + 1)."""
    v, u = torch.nn.functional.pad(scene.rim, (0, 0, 1, 1)), torch.nn.functional.pad(scene.rim, (1, 1))
    return (v[1:] | v[:-1]).to(torch.float64), (u[:, 1:] | u[:, :-1]).to(torch.float64)
