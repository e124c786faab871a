"""Truth: weighted moments by hand, and those of torch where weights are equal."""

import warnings

import pytest
import torch
from analytic import F64

from sciml_diffusion.ensemble import WeightedEnsemble


def _members(b=2, k=8, event=(3, 4)):
    return torch.randn(b, k, *event, generator=torch.Generator().manual_seed(0), dtype=F64)


def test_equal_weights_give_plain_moments():
    x = _members()
    ensemble = WeightedEnsemble(x, torch.full((2, 8), -700.0))  # log-weights need no normalisation, however small
    torch.testing.assert_close(ensemble.mean, x.mean(1))
    torch.testing.assert_close(ensemble.std, x.std(1))  # the factor 1 / (1 - sum w^2) is then K / (K - 1)
    torch.testing.assert_close(ensemble.ess, torch.full((2,), 8.0, dtype=F64))


def test_weighted_moments_by_hand():
    x = torch.tensor([[[0.0], [1.0], [5.0]]], dtype=F64)
    ensemble = WeightedEnsemble(x, torch.tensor([[0.5, 0.3, 0.2]], dtype=F64).log())
    mean, sum_w2 = 0.3 + 1.0, 0.25 + 0.09 + 0.04
    variance = (0.5 * mean**2 + 0.3 * (1 - mean) ** 2 + 0.2 * (5 - mean) ** 2) / (1 - sum_w2)
    torch.testing.assert_close(ensemble.mean, torch.tensor([[mean]], dtype=F64))
    torch.testing.assert_close(ensemble.std, torch.tensor([[variance**0.5]], dtype=F64))
    torch.testing.assert_close(ensemble.ess, torch.tensor([1 / sum_w2], dtype=F64))


def test_log_weights_are_double():
    assert WeightedEnsemble(_members().float(), torch.zeros(2, 8)).log_weights.dtype == F64


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 7\).*\(2, 8\)"):
        WeightedEnsemble(_members(), torch.zeros(2, 7))


def test_a_healthy_ensemble_is_quiet():
    roots = torch.tensor([30.0, 40.0])
    ensemble = WeightedEnsemble(_members(k=64), torch.zeros(2, 64), {"roots": roots, "family_ess": roots})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble.warn_if_collapsed()
    assert float(ensemble.ess.min()) > 63


@pytest.mark.parametrize("what", ["weights", "roots", "family_ess"])
def test_collapse_is_said_in_words(what):
    log_weights = torch.zeros(2, 64)
    few = {what: torch.tensor([64.0, 1.0])} if what != "weights" else {}
    if what == "weights":
        log_weights[1, 0] = 50.0
    with pytest.warns(UserWarning, match=r"has collapsed: 1\.0 .* of 64.*more members"):
        WeightedEnsemble(_members(k=64), log_weights, few).warn_if_collapsed()


def test_members_that_are_not_numbers_do_not_count():
    x = _members()
    x[0, 3] = torch.nan
    ensemble = WeightedEnsemble(x, torch.zeros(2, 8))
    with pytest.warns(UserWarning, match="1 of 16 members are not finite"):
        ensemble.drop_lost()
    rest = x[0, [0, 1, 2, 4, 5, 6, 7]]
    torch.testing.assert_close(ensemble.mean[0], rest.mean(0))
    torch.testing.assert_close(ensemble.std[0], rest.std(0))
    assert ensemble.diagnostics["lost"].tolist() == [1, 0] and float(ensemble.weights[0, 3]) == 0


def test_a_window_without_members_is_an_error():
    x, log_weights = _members(), torch.zeros(2, 8)
    x[1, :4], log_weights[1, 4:] = torch.inf, -torch.inf
    with pytest.raises(ValueError, match="no member of a window is left: 4 of 16"):
        WeightedEnsemble(x, log_weights).drop_lost()
