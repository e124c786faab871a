"""What validation data say of an anchored denoiser: how far to trust its network, and how large its error is."""

import torch
from torch import Tensor

from ..denoisers.anchored import AnchoredDenoiser

POOLS = ("mode", "relative")
CHUNK = 64  # windows at once


@torch.no_grad()
def calibrate(
    denoiser: AnchoredDenoiser,
    validation: Tensor,
    *,
    seed: int = 0,
    draws: int = 2,
    pool: str = "mode",
    strength: float = 16.0,
    independent: float | None = None,
) -> AnchoredDenoiser:
    """Returns the denoiser with beta and ratio measured at its nodes.

    With r = x - D_G and f = P^{1/2} F, clip(<r, f> / <f, f>, 0, 1) minimises the mean ||x - D_G - beta f||^2; beta is
    the smaller of its values on the first and the second half of the windows, so that one of two periods alone cannot
    speak for the network, times 1 - u strength / (n + strength): n is the number of independent windows, as a few
    weather events say little of the next, and u = ||r - beta f||^2 / ||r||^2 is what the network leaves unexplained, to
    which the variance of beta is proportional. With e the coefficients of x - D, and p those of P, the ratio is

    - "mode": (sum e^2 + strength scalar p) / ((n + strength) p) for each coefficient, scalar = sum(e^2) / (n sum(p))
      over all of them; it leans on the scalar by the weight of `strength` windows;
    - "relative": the error of D over that of D_G, which leaves the level to the anchor: where windows are few or alike.

    Arguments:
        denoiser: trained; its own beta and ratio do not matter.
        validation: windows that were not trained on, with shape (M, *event).
        seed: of the noise.
        draws: noise draws for each window and node.
        pool, strength: see above.
        independent: n; by default M, for windows that are independent.

    Raises:
        ValueError: an unknown pool.
    """
    if pool not in POOLS:
        raise ValueError(f"unknown pool {pool!r}; choose from {POOLS}")
    generator, anchor = torch.Generator().manual_seed(seed), denoiser.anchor
    halves = [h for h in (validation[: len(validation) // 2], validation[len(validation) // 2 :]) if len(h)]
    independent = len(validation) if independent is None else independent
    doubt, nodes = strength / (independent + strength), []
    for log_sigma in denoiser.log_sigma:
        sigma = log_sigma.exp().to(validation)
        moments = [_moments(denoiser, half, sigma, draws, generator) for half in halves]
        best = torch.stack([rf.sum() / ff.sum() if ff.sum() > 0 else ff.sum() for _, rf, ff in moments])
        beta = _shrunk(best.amin().clamp(0, 1), doubt, moments)
        variance, count = anchor.surrogate(sigma).variance.double(), draws * len(validation)
        nodes.append((beta, _ratio(beta, moments, variance, count, pool, strength)))
    betas, ratios = zip(*nodes, strict=True)
    beta = torch.stack(betas).to(anchor.variance.dtype)
    ratio = torch.stack(ratios).half()  # known to some per cent: half precision halves its share of a file
    return AnchoredDenoiser(anchor, denoiser.backbone, denoiser.log_sigma, beta, ratio).eval()


def _shrunk(beta: Tensor, doubt: float, moments: list) -> Tensor:
    """beta (1 - doubt ||r - beta f||^2 / ||r||^2), the share being taken over all halves; shape ()."""
    rr, rf, ff = (sum(part.sum() for part in parts) for parts in zip(*moments, strict=True))
    return beta * (1 - doubt * ((rr - 2 * beta * rf + beta**2 * ff) / rr).clamp(0, 1))


def _ratio(beta: Tensor, moments: list, p: Tensor, n: int, pool: str, strength: float) -> Tensor:
    """The ratio of `calibrate` at one node, with the shape of the coefficients, or of ones; p of theirs, n windows."""
    rr, rf, ff = (sum(parts) for parts in zip(*moments, strict=True))
    error = (rr - 2 * beta * rf + beta**2 * ff).clamp_min(0)
    if pool == "relative":
        return (error.sum() / rr.sum()).clamp_min(1e-12).reshape((1,) * p.ndim)
    scalar = (error.sum() / (n * p.sum())).clamp_min(1e-12)
    return (error + strength * scalar * p) / ((n + strength) * p)


def _moments(denoiser: AnchoredDenoiser, x: Tensor, sigma: Tensor, draws: int, generator) -> tuple[Tensor, ...]:
    """Sums of r^2, r f and f^2 over windows x (M, *event) and noise, each with the shape of the coefficients."""
    basis, totals = denoiser.anchor.basis, (0.0, 0.0, 0.0)
    for part in x.split(CHUNK) * draws:
        z = torch.randn(part.shape, generator=generator, dtype=part.dtype)
        centre, correction = denoiser.parts(part + sigma * z, sigma.expand(len(part)))
        r, f = basis(part - centre).double(), basis(correction).double()
        totals = tuple(t + new.sum(0) for t, new in zip(totals, (r.square(), r * f, f.square()), strict=True))
    return totals
