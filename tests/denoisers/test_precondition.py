"""Truths: the constants of Karras et al., table 1, at sigma_data = 1; the exact denoiser of white noise."""

import math

import torch
from torch import nn

from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser


class Recorder(nn.Module):
    """Returns 1 everywhere and keeps what it was given."""

    arguments = {}

    def forward(self, x, c_noise):
        self.seen = (x, c_noise)
        return torch.ones_like(x)


def test_constants():
    backbone = Recorder()
    denoiser = PreconditionedDenoiser(backbone, (1, 4, 4))
    x_t, sigma = torch.randn(2, 1, 4, 4, dtype=torch.float64), torch.tensor([0.5, 3.0], dtype=torch.float64)
    out = denoiser(x_t, sigma)
    for i, s in enumerate(sigma.tolist()):
        expected = x_t[i] / (1 + s**2) + s / math.sqrt(1 + s**2)
        torch.testing.assert_close(out[i], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(backbone.seen[0][i], x_t[i] / math.sqrt(1 + s**2), rtol=1e-12, atol=1e-12)
        assert math.isclose(float(backbone.seen[1][i]), math.log(s) / 4, rel_tol=1e-12)
    torch.testing.assert_close(denoiser(x_t, sigma[0])[0], out[0], rtol=1e-12, atol=1e-12)


def test_error_scale_is_that_of_white_fields():
    """x, z white: E||x_t / (1 + sigma^2) - x||^2 = d sigma^2 / (1 + sigma^2); 5 standard errors of 4e5 are 1.2 %."""
    generator = torch.Generator().manual_seed(0)
    x, z = torch.randn(2, 4000, 1, 10, 10, generator=generator)
    denoiser, sigma = PreconditionedDenoiser(Recorder(), (1, 10, 10)), torch.tensor(0.7)
    error = ((x + sigma * z) / (1 + sigma**2) - x).flatten(1).square().sum(1).mean()
    torch.testing.assert_close(error, denoiser.error_scale(sigma[None])[0], rtol=0.012, atol=0)
