"""Kriging in closed form: exact posterior draws of a Gaussian prior, and scores of windows of known covariance."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..inverse.base import PosteriorMethod
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from ..training.inner_folds import gaussian_crps, krige

UNSEEN = 100  # values scored in each frame


class ClosedForm(PosteriorMethod):
    """Exact draws from N(x; mu, C) given y = A x + std z, without noise levels: x + C A^T S^{-1} (y - A x - std z),

    x ~ N(mu, C), S = A C A^T + std^2 (Matheron's rule). The denoiser must be Gaussian: it gives mu and C.
    Source: Rasmussen and Williams, Gaussian Processes (2006), eq. 2.19; Chiles and Delfiner (2012), section 7.3.
    """

    def __init__(self):
        super().__init__(torch.tensor([1.0, 0.0], dtype=torch.float64))

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights. Raises TypeError where the denoiser states no covariance."""
        infinity = torch.tensor(torch.inf, dtype=streams.dtype, device=streams.device)
        mean, covariance = denoiser.prior_mean(), denoiser.surrogate(infinity)
        if mean is None or covariance is None:
            raise TypeError(f"closed-form draws need a Gaussian prior; {type(denoiser).__name__} states no covariance")
        operator, std = observation.operator, observation.std.to(streams.dtype)
        gain = covariance.apply(operator.adjoint(torch.eye(operator.m, dtype=streams.dtype, device=streams.device)))
        total = operator(gain).double() + std.double().square().diag()
        root = torch.linalg.cholesky((total + total.T) / 2)
        x = mean + covariance.sqrt(streams.normal(denoiser.event))
        y = observation.repeat(len(x) // len(observation.y)) - std * streams.normal((operator.m,))
        u = torch.cholesky_solve((y - operator(x)).double().T, root).T.to(x)
        callback(1)
        return x + (u @ gain.flatten(1)).reshape(x.shape), None, {}


def window_score(space: Tensor, time: Tensor, check: Tensor, sets, noise: float) -> Tensor:
    """Mean CRPS of windows with the covariance time (x) space, for each set of stations; shape (len(sets),).

    Arguments:
        space, time: covariances, with shapes (p, p) and (n, n).
        check: windows, with shape (W, n, p).
        sets: (seen, unseen) positions in the p values.
        noise: standard deviation of the stations' errors.
    """
    n = len(time)
    scores = []
    for i, (seen, unseen) in enumerate(sets):
        unseen = unseen[:UNSEEN]
        both = torch.cat([seen, unseen])
        c = torch.kron(time, space[both][:, both])
        frame = torch.arange(n)[:, None] * len(both)
        first, rest = (
            (frame + torch.arange(len(seen))).flatten(),
            (frame + torch.arange(len(seen), len(both))).flatten(),
        )
        generator = torch.Generator().manual_seed(i)
        y = check[:, :, seen].flatten(1)
        y = y + noise * torch.randn(y.shape, generator=generator, dtype=y.dtype)
        mean, variance = krige(c, first, rest, y, noise)
        scores.append(gaussian_crps(mean, variance.sqrt(), check[:, :, unseen].flatten(1)).mean())
    return torch.stack(scores)
