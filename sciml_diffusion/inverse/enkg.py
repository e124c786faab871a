"""Ensemble Kalman guidance: posterior sampling that only ever evaluates A, for solvers without derivatives."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.basis import IdentityBasis
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.sde import bridge
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod

UPDATES = ("conditional", "published")
BENDS = (0.0, 0.3, 1.0, 3.0)  # of the slope from place to place
PAIRS = 256  # probes of a window from which slopes are learnt
BLOCK = 2**24  # numbers of slopes held at a time
RIDGES = 10.0 ** torch.arange(-8.0, 1.0, dtype=torch.float64)  # of the regression, in units of the mean eigenvalue


class EnKG(PosteriorMethod):
    """Members move together; what A does to each of them tells the others how to move. Two updates:

    `conditional`: x = D + e, e ~ N(0, E), is conditioned on y by perturbed observations, with the slope H that ridge
    regression of (A(D + e) - A(D - e)) / 2 on e finds over the members of a window, and its prediction error Q:
    x += E H^T (H E H^T + Q + R)^{-1} (y + r - A(x)), r ~ N(0, R); then the exact bridge to the next level. The ridge
    is the one with the least generalised cross-validation; more `probes` e for each member make H better. For a
    Gaussian prior, a linear A and more probes in all than dimensions this is a draw from the posterior; elsewhere one
    slope serves all members of a window, and what is wrong with it is common to them. A denoiser that states no E gets
    an isotropic one, from the spread of the members.

    `published`: twice for each level, x_j -= lambda / |C|_F sum_k C_jk (x_k - mean), C_jk = <A(u_j) - y, A(u_k) -
    mean> / K in units of the noise, u the end of the flow from x in min(1 + steps left // 8, 20) Euler steps; then one
    Euler step. It lowers the misfit by steps of a fixed length, whatever the noise: not calibrated as published, for
    members contract or stay too wide, however many there are.

    Members of a window depend on each other from the first level on; `published` never leaves the span of the first.
    Source: Zheng et al., Ensemble Kalman diffusion guidance: a derivative-free method for inverse problems, 2024
    (`published`); `conditional` is this package's own, after Evensen, Data Assimilation (2009) for perturbed
    observations.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        update: "conditional" or "published".
        probes: pairs of evaluations of A for each level and member, from which "conditional" learns the slope.
        length: lambda, for "published".

    Raises:
        ValueError: another update, or probes < 1.
    """

    needs = "forward"

    def __init__(self, sigmas: Tensor, update: str = "conditional", probes: int = 4, length: float = 2.0):
        super().__init__(sigmas)
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(UPDATES)}; got {update!r}")
        if probes < 1:
            raise ValueError(f"probes must be >= 1; got {probes}")
        self.update, self.probes, self.length = update, probes, length

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        run = self._conditional if self.update == "conditional" else self._published
        return run(denoiser, observation, streams, callback), None, {}

    def _conditional(self, denoiser, observation, streams, callback) -> Tensor:
        levels = self.levels(streams)
        prior = denoiser.surrogate(torch.full_like(levels[0][1], torch.inf))
        if prior is None or denoiser.prior_mean() is None:
            x_t = denoiser.start(levels[0][1], streams)
        else:
            mean = denoiser.prior_mean().to(streams.dtype).expand(streams.rows, *denoiser.event)
            x = conditioned(mean, prior, mean.new_ones(len(observation.y)), self.probes, observation, streams)
            x_t = x + levels[0][1] * streams.normal(denoiser.event)
        for n, ((_, sigma_t), (low, sigma_s)) in enumerate(zip(levels, levels[1:], strict=False)):
            mean = denoiser(x_t, sigma_t)
            covariance, factor = stated_or_isotropic(denoiser, x_t, sigma_t, len(observation.y))
            x = conditioned(mean, covariance, factor, self.probes, observation, streams)
            x_t = bridge(x_t, x, sigma_t, sigma_s, streams) if low > 0 else x
            callback(n + 1)
        return x_t

    def _published(self, denoiser, observation, streams, callback) -> Tensor:
        levels, windows = self.levels(streams), len(observation.y)
        x_t = denoiser.start(levels[0][1], streams)
        y = observation.repeat(len(x_t) // windows).to(x_t)
        for n, ((_, sigma_t), (_, sigma_s)) in enumerate(zip(levels, levels[1:], strict=False)):
            steps = min(1 + (len(levels) - 1 - n) // 8, 20)
            for _ in range(2):
                h = observation.operator(flow(denoiser, x_t, sigma_t, steps))
                residual, std = observation.noise.local(y, h)
                misfit, seen = ((v / std).reshape(windows, -1, h.shape[1]) for v in (-residual, h))
                x = x_t.reshape(windows, -1, *x_t.shape[1:]).flatten(2)
                c = misfit @ (seen - seen.mean(1, keepdim=True)).mT / seen.shape[1]
                norm = c.flatten(1).norm(dim=1).clamp_min(torch.finfo(c.dtype).tiny)[:, None, None]
                x_t = (x - self.length / norm * (c @ (x - x.mean(1, keepdim=True)))).reshape(x_t.shape)
            x_t = x_t + (sigma_s - sigma_t) * (x_t - denoiser(x_t, sigma_t)) / sigma_t
            callback(n + 1)
        return x_t


def flow(denoiser: Denoiser, x_t: Tensor, sigma: Tensor, steps: int) -> Tensor:
    """The end of dx/dsigma = (x - D) / sigma, by Euler steps at sigma (1 - i / steps)^7: shape (N, *event)."""
    levels = sigma * (1 - torch.arange(steps + 1, device=x_t.device) / steps).to(x_t) ** 7
    for a, b in zip(levels[:-1], levels[1:], strict=True):
        x_t = x_t + (b - a) * (x_t - denoiser(x_t, a)) / a
    return x_t


def stated_or_isotropic(denoiser: Denoiser, x_t: Tensor, sigma: Tensor, windows: int) -> tuple[Covariance, Tensor]:
    """E and a factor of it for each window: the denoiser's E and 1, or the identity and v sigma^2 / (v + sigma^2),

    v the variance of the members above that of the noise.

    Arguments:
        denoiser: of the prior.
        x_t: with shape (N, *event). sigma: its noise level, with shape ().
        windows: B; the factors have shape (B,).
    """
    stated = denoiser.surrogate(sigma)
    if stated is not None:
        return stated, x_t.new_ones(windows)
    total = x_t.reshape(windows, len(x_t) // windows, -1).var(1, correction=0).mean(1)
    v = (total - sigma**2).clamp_min(1e-3 * sigma**2)
    return Covariance(IdentityBasis(), x_t.new_ones(())), v * sigma**2 / (v + sigma**2)


def conditioned(
    mean: Tensor, covariance: Covariance, factor: Tensor, probes: int, observation: Observation, streams: MemberStreams
) -> Tensor:
    """Draws x ~ N(mean, E) given y by perturbed observations, with one slope of A for each window: shape (N, *event).

    Arguments:
        mean: with shape (N, *event).
        covariance, factor: E for window b is the covariance times the factor b, of shape (B,).
        probes: pairs of evaluations of A for each member, the first of which makes x.
        observation: B windows, N = B K.
        streams: N rows.
    """
    windows, event = len(observation.y), mean.shape[1:]
    root = factor.sqrt().repeat_interleave(len(mean) // windows).reshape(-1, *(1,) * len(event))
    pairs = []
    for _ in range(probes):
        e = root * covariance.sqrt(streams.normal(event))
        both = torch.stack([mean + e, mean - e], 1).flatten(0, 1)  # rows stay within their windows
        above, below = observation.operator(both).unflatten(0, (-1, 2)).unbind(1)
        pairs.append((e, (above - below) / 2, above))
    e, _, above = pairs[0]
    x = mean + e
    residual, std = observation.noise.local(observation.repeat(len(x) // windows).to(above), above)
    innovation = _grouped(residual + std * streams.normal((above.shape[1],)), windows)
    scale, places = _grouped(std, windows), _grouped(mean, windows)
    steps, seen = (torch.stack([_grouped(pair[i], windows) for pair in pairs], 2) for i in (0, 1))
    slopes = LocalSlopes(places, steps, seen, scale.mean(1))
    moves = []
    for part in torch.arange(places.shape[1], device=x.device).split(max(1, BLOCK // (slopes.m * x[0].numel()))):
        slope = slopes.at(part)
        rows = covariance.apply(slope.reshape(-1, *event)).reshape(slope.shape)
        spread = factor[:, None, None, None] * rows  # H E for each member
        total = spread @ slope.mT + torch.diag_embed(slopes.error[:, None] + scale[:, part] ** 2)
        w = torch.linalg.solve(total, innovation[:, part, :, None])
        moves.append((w.mT @ spread)[:, :, 0])
    return x + torch.cat(moves, 1).reshape(x.shape)


def _grouped(v: Tensor, windows: int) -> Tensor:
    """Rows by window, flattened: shape (B K, ...) -> (B, K, n)."""
    return v.reshape(windows, len(v) // windows, -1)


class LocalSlopes:
    """Slopes of A at the places D_j of the members, by kernel ridge regression on what their probes e saw.

    H_j = sum_i k_ji a_i e_i^T, k_ji = 1 + kappa <d_j, d_i>, d the places about their mean in units of their spread: a
    slope that all share, and one that varies linearly from place to place, as it does where A is a quadratic. The
    a = (k e e^T + l)^{-1} g are those of the kappa and l with the least generalised cross-validation score, sum over
    outputs of |g - fit|^2 / (mean of 1 - leverage)^2 / count (Golub, Heath and Wahba, Technometrics 21, 1979), which is
    also the variance of a prediction, `error` with shape (B, m). At most about 256 probes of a window are used.

    Arguments:
        places: D, with shape (B, K, d).
        steps: e, P for each member, with shape (B, K, P, d).
        seen: g, (A(D + e) - A(D - e)) / 2, with shape (B, K, P, m).
        scale: of the outputs, to compare their errors, with shape (B, m).
    """

    def __init__(self, places: Tensor, steps: Tensor, seen: Tensor, scale: Tensor):
        (windows, members, probes, self.m), device = seen.shape, seen.device
        used = torch.linspace(0, members - 1, min(members, max(2, PAIRS // probes)), device=device).round().long()
        self.steps, seen = steps[:, used].flatten(1, 2), seen[:, used].flatten(1, 2)
        apart = places - places.mean(1, keepdim=True)
        apart = apart / (apart**2).sum(2).mean(1).clamp_min(torch.finfo(apart.dtype).tiny).sqrt()[:, None, None]
        self.apart, self.nodes = apart, apart[:, used].repeat_interleave(probes, 1)
        gram = self.steps @ self.steps.mT
        fits = [self._fit(gram * (1 + kappa * self.nodes @ self.nodes.mT), seen) for kappa in BENDS]
        alphas, errors = (torch.cat([fit[i] for fit in fits], 1) for i in (0, 1))
        score = (errors / scale[:, None] ** 2).sum(2)
        floor = 1e-12 * (seen**2).mean(1).div(scale**2).sum(1, keepdim=True)
        best = (score <= (1 + 1e-6) * score.amin(1, keepdim=True) + floor).int().argmax(1)  # the first of equals
        rows = torch.arange(windows, device=device)
        self.alpha, self.error = alphas[rows, best], errors[rows, best]
        self.kappa = torch.tensor(BENDS, dtype=seen.dtype, device=device)[best // len(RIDGES)]

    def at(self, members: Tensor) -> Tensor:
        """H_j of some members (a tensor of their numbers), with shape (B, members, m, d)."""
        kernel = 1 + self.kappa[:, None, None] * self.apart[:, members] @ self.nodes.mT
        weights = torch.einsum("bki,bim->bkmi", kernel, self.alpha)
        return (weights.flatten(1, 2) @ self.steps).unflatten(1, (len(members), self.m))

    @staticmethod
    def _fit(kernel: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """a with shape (B, ridges, count, m) and variances of a prediction (B, ridges, m), for every ridge."""
        values, vectors = torch.linalg.eigh(kernel)
        values = values.clamp_min(0)
        ridges = RIDGES.to(values) * values.mean(1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
        shrunk = 1 / (values[:, None] + ridges[:, :, None])
        kept = ridges[:, :, None] * shrunk  # share of each direction that is not fitted
        turned = vectors.mT @ g
        errors = kept**2 @ turned**2 / values.shape[1] / kept.mean(2, keepdim=True) ** 2
        return vectors[:, None] @ (shrunk[..., None] * turned[:, None]), errors
