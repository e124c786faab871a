"""What validation data say of an anchored denoiser: how far to trust its network, and how large its error is."""

import torch
from torch import Tensor

from ..denoisers.anchored import AnchoredDenoiser

POOLS = ("mode", "scalar")
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
) -> AnchoredDenoiser:
    """Returns the denoiser with beta and ratio measured at its nodes.

    With r = x - D_G and f = P^{1/2} F, beta = clip(<r, f> / <f, f>, 0, 1) minimises the mean ||x - D_G - beta f||^2: it is
    never worse than the Gaussian on these windows. With e the coefficients of x - D and p those of P, the ratio is
    sum(e^2) / (n sum(p)) over all coefficients ("scalar"), or for each one (sum e^2 + strength scalar p) / ((n + strength) p)
    ("mode"), which leans on the scalar by the weight of `strength` windows.

    Arguments:
        denoiser: trained; its own beta and ratio do not matter.
        validation: windows that were not trained on, with shape (M, *event).
        seed: of the noise.
        draws: noise draws for each window and node.
        pool: "mode" or "scalar"; the latter where windows are few or much alike.
        strength: see above.

    Raises:
        ValueError: an unknown pool.
    """
    if pool not in POOLS:
        raise ValueError(f"unknown pool {pool!r}; choose from {POOLS}")
    generator, basis = torch.Generator().manual_seed(seed), denoiser.anchor.basis
    betas, ratios = [], []
    for log_sigma in denoiser.log_sigma:
        sigma = log_sigma.exp().to(validation)
        p = denoiser.anchor.surrogate(sigma).variance.double()
        rr, rf, ff = (torch.zeros_like(p) for _ in range(3))
        for _ in range(draws):
            for x in validation.split(CHUNK):
                z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
                centre, correction = denoiser.parts(x + sigma * z, sigma.expand(len(x)))
                r, f = basis(x - centre).double(), basis(correction).double()
                rr, rf, ff = rr + r.square().sum(0), rf + (r * f).sum(0), ff + f.square().sum(0)
        beta = (rf.sum() / ff.sum()).clamp(0, 1) if ff.sum() > 0 else torch.zeros((), dtype=p.dtype)
        error, n = (rr - 2 * beta * rf + beta**2 * ff).clamp_min(0), draws * len(validation)
        scalar = (error.sum() / (n * p.sum())).clamp_min(1e-12)
        ratio = (error + strength * scalar * p) / ((n + strength) * p)
        betas.append(beta)
        ratios.append(ratio if pool == "mode" else scalar.reshape((1,) * p.ndim))
    dtype = denoiser.anchor.variance.dtype
    beta, ratio = torch.stack(betas).to(dtype), torch.stack(ratios).to(dtype)
    return AnchoredDenoiser(denoiser.anchor, denoiser.backbone, denoiser.log_sigma, beta, ratio).eval()
