"""R-hat and ESS. Truths: autoregressive series, whose ESS is N (1 - phi) / (1 + phi), and chains with known offsets."""

import math

import pytest
import torch

from sciml_diffusion.baselines.convergence import bulk_ess, rhat

F64 = torch.float64


def series(phi, steps=4000, chains=8, quantities=6, seed=0):
    """Stationary x_n = phi x_{n-1} + sqrt(1 - phi^2) z with variance 1, shape (T, N, Q)."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(steps, chains, quantities, generator=g, dtype=F64)
    x = [z[0]]
    for row in z[1:]:
        x.append(phi * x[-1] + math.sqrt(1 - phi**2) * row)
    return torch.stack(x)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.4])
def test_ess_of_autoregressive_chains(phi):
    """Mean over six series; each has an error of about 5 % (more at 0.9), so 10 % is four standard errors there."""
    x = series(phi)
    wanted = x[..., 0].numel() * (1 - phi) / (1 + phi)
    assert abs(float(bulk_ess(x).mean()) / wanted - 1) < 0.1
    assert (rhat(x) < 1.01).all()


def test_ess_and_rhat_do_not_change_under_monotone_maps():
    """Ranks alone enter, so heavy tails do not matter; R-hat also folds at the median, hence a looser bound there."""
    x = series(0.5)
    torch.testing.assert_close(bulk_ess(x.exp()), bulk_ess(x), rtol=1e-12, atol=0)
    assert (rhat((3 * x).exp()) < 1.01).all()


def test_chains_that_disagree_are_seen():
    """One of eight chains moved by d or stretched: for equal lengths R-hat^2 = 1 + var(means) / W up to 1 / T."""
    x = series(0.0)
    moved, stretched = x.clone(), x.clone()
    moved[:, 0] += 1.5
    stretched[:, 0] *= 4
    variance = torch.tensor([1.5] + 7 * [0.0], dtype=F64).repeat(2).var()
    assert abs(float(rhat(moved).mean()) / math.sqrt(1 + variance) - 1) < 0.02  # ranks bend the tails a little
    assert (rhat(stretched) > 1.05).all() and (bulk_ess(moved) < 100).all()


def test_a_trend_within_chains_is_seen_by_the_split():
    x = series(0.0, steps=400)
    assert (rhat(x + torch.linspace(-1, 1, 400, dtype=F64)[:, None, None]) > 1.05).all()


def test_one_chain_is_refused():
    with pytest.raises(ValueError, match="2 chains"):
        rhat(torch.zeros(10, 1, 3))
