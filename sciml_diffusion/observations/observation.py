"""y ~ p(y | A x): data with noise of a known law, for a batch of B windows observed by the same sensors."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .noise import Correlated, Gaussian, Noise
from .operators import Decoded, LinearOperator, Operator, ThroughCodec, scaled


@dataclass(frozen=True, eq=False)
class Observation:
    """Observations of B windows through one operator.

    Arguments:
        operator: A, from an event to m numbers.
        y: data, with shape (B, m).
        noise: law of the sensors' noise; a tensor of shape (m,) stands for `Gaussian(std)`, in the units of y.

    Raises:
        ValueError: where shapes do not fit, std is not > 0 and finite, or y cannot have come from the law.
    """

    operator: Operator
    y: Tensor
    noise: Noise | Tensor

    def __post_init__(self):
        m = self.operator.m
        if isinstance(self.noise, Tensor) and self.noise.shape == (m,):
            object.__setattr__(self, "noise", Gaussian(self.noise))
        shape = tuple(self.noise.shape) if isinstance(self.noise, Tensor) else (self.noise.m,)
        if self.y.ndim != 2 or self.y.shape[1] != m or shape != (m,):
            raise ValueError(
                f"an operator with {m} outputs needs y of shape (B, {m}) and std of shape ({m},); "
                f"got {tuple(self.y.shape)} and {shape}"
            )
        self.noise.check(self.y)

    @property
    def std(self) -> Tensor:
        """Standard deviation of Gaussian noise, with shape (m,).

        Raises:
            TypeError: where the noise is not Gaussian.
        """
        if not isinstance(self.noise, Gaussian):
            raise TypeError(f"{type(self.noise).__name__} noise has no std; ask noise.local for the Gaussian near A x")
        return self.noise.std

    @property
    def linear_gaussian(self) -> bool:
        """Whether y = A x + std z with a linear A and independent Gaussian noise: closed forms apply."""
        return self.operator.linear and type(self.noise) is Gaussian

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(y | A x), summed over the m observations of a sample: shape (B K, *event) -> (B K,).

        The rows of x run over members within windows.
        """
        h = self.operator(x)
        return self.noise.log_prob(self.repeat(len(x) // len(self.y)).to(h), h).sum(-1)

    def local(self, x: Tensor) -> tuple[Tensor, Tensor, LinearOperator]:
        """What stands for the data near x: residual r, std s and H = dA/dx, as if r = H d + s z for a step d from x.

        Exact where A is linear and the noise Gaussian. Shapes: x (N, *event), r and s (N, m); H acts on N rows.
        """
        h, slope = self.operator.at(x)
        residual, std = self.noise.local(self.repeat(len(x) // len(self.y)).to(h), h)
        return residual, std, slope

    def whitened(self) -> tuple["Observation", float]:
        """The same data with independent noise of std 1, W A x + z with W R W^T = I, and log |W|, to add to densities.

        Only Gaussian noise of full covariance is changed; all else comes back as it is, with 0.
        """
        if not isinstance(self.noise, Correlated):
            return self, 0.0
        root = self.noise.root
        white = torch.linalg.inv(root).to(self.y)
        whitened = Observation(scaled(self.operator, white), self.y @ white.T, torch.ones_like(self.y[0]))
        return whitened, -float(root.diagonal().log().sum())

    def repeat(self, members: int) -> Tensor:
        """y for every row of an ensemble, with shape (B * members, m)."""
        return self.y.repeat_interleave(members, 0)

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Observation":
        """The same observation with its numbers in another dtype or on another device; shapes stay."""
        return Observation(self.operator, self.y.to(device, dtype), self.noise.to(dtype, device))

    def select(self, windows: slice) -> "Observation":
        """Some of the windows; y keeps the shape (B', m)."""
        return replace(self, y=self.y[windows])

    def through(self, codecs: list) -> "Observation":
        """The same data seen from diffusion space.

        Arguments:
            codecs: one for each window. Where all is linear, y becomes y - A decode(0), and the codecs may differ in
                their means alone; else A is applied to decoded fields, and any codec will do.
        """
        if not (self.operator.linear and codecs[0].affine and isinstance(self.noise, Gaussian)):
            return replace(self, operator=Decoded(self.operator, codecs))
        zero = torch.zeros(1, *codecs[0].event, dtype=self.y.dtype, device=self.y.device)
        offsets = torch.cat([self.operator(codec.decode(zero)) for codec in codecs])
        return replace(self, operator=ThroughCodec(self.operator, codecs[0]), y=self.y - offsets)
