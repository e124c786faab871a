"""The ensemble Kalman filter's analysis, once or in several rounds: what black-box solvers are inverted with today."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..ensemble import WeightedEnsemble
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams


class EnsembleKalman:
    """`rounds` times x += C_xh (C_hh + a R)^{-1} (y + sqrt(a) r - h), h = A(x), r ~ N(0, R), a = rounds,

    with the sample covariances C of the members of a window. One round is the stochastic ensemble Kalman filter; more
    take the data in parts with inflated noise, 1 / a in sum 1 (multiple data assimilation, which for many rounds is
    ensemble Kalman inversion up to time 1). For a Gaussian prior and a linear A it tends to the posterior with more
    members; else it is an approximation. Few members spread too little, and correlate what has nothing to do with each
    other; they never leave the span of the prior draws. Evaluates A alone.
    Source: G. Burgers, P. J. van Leeuwen and G. Evensen, Monthly Weather Review 126 (1998); A. Emerick and A. Reynolds,
    Computers & Geosciences 55 (2013); M. Iglesias, K. Law and A. Stuart, Inverse Problems 29 (2013).

    Arguments:
        draw: prior members for the rows of the streams, (rows, *event): for example a sampler on a denoiser.
        rounds: of assimilation, >= 1.

    Raises:
        ValueError: rounds < 1.
    """

    def __init__(self, draw: Callable[[MemberStreams], Tensor], rounds: int = 4):
        if rounds < 1:
            raise ValueError(f"rounds must be >= 1; got {rounds}")
        self.draw, self.rounds = draw, rounds

    @torch.no_grad()
    def posterior(self, observation: Observation, streams: MemberStreams) -> WeightedEnsemble:
        """K members for each window, with shape (B, K, *event), unweighted; diagnostics: `operator_calls`.

        Arguments:
            observation: y with shape (B, m), in the space of the events; noise that is not Gaussian enters by the
                Gaussian that stands for it at each member.
            streams: B K rows, members within windows, K >= 2.

        Raises:
            ValueError: one member for each window.
        """
        observation, _ = observation.whitened()
        windows, x = len(observation.y), self.draw(streams)
        members, inflation = len(x) // windows, float(self.rounds)
        if members < 2:
            raise ValueError(f"an ensemble needs at least 2 members for each window; got {members}")
        y = observation.repeat(members).to(x)
        for _ in range(self.rounds):
            h = observation.operator(x)
            residual, std = observation.noise.local(y, h)
            innovation = residual + inflation**0.5 * std * streams.normal((h.shape[1],))
            apart, seen = (_deviations(v.reshape(windows, members, -1)) for v in (x, h))
            noise = torch.diag_embed(inflation * std.reshape(windows, members, -1) ** 2)
            total = (seen.mT @ seen / (members - 1))[:, None] + noise
            w = torch.linalg.solve(total, innovation.reshape(windows, members, -1, 1))[..., 0]
            x = x + (w @ seen.mT @ apart / (members - 1)).reshape(x.shape)
        x = x.reshape(windows, members, *x.shape[1:])
        return WeightedEnsemble(x, x.new_zeros(windows, members), {"operator_calls": self.rounds})


def _deviations(v: Tensor) -> Tensor:
    return v - v.mean(1, keepdim=True)
