"""Truths: a permutation; on a line the sorted order; shares of regions kept to within a few particles."""

import torch
from analytic import F64

from sciml_diffusion.inverse.ordering import tree_order
from sciml_diffusion.inverse.resample import systematic


def _normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_an_order_is_a_permutation_for_any_number_and_shape():
    for shape in ((1, 3), (2, 1), (7, 2, 3), (100, 40), (513, 5)):
        assert tree_order(_normal(*shape)).sort().values.tolist() == list(range(shape[0]))


def test_on_a_line_groups_come_sorted():
    x = _normal(256, 1)
    found = x[tree_order(x), 0].reshape(-1, 8)  # leaves of at most 8
    assert (found.max(1).values[:-1] <= found.min(1).values[1:]).all()


def test_thinning_in_order_errs_less_than_independent_choices():
    x, weights = _normal(8000, 3), torch.rand(8000, generator=torch.Generator().manual_seed(1), dtype=F64)
    weights, starts = weights / weights.sum(), torch.arange(20, dtype=F64) / 20
    exact, order = weights @ x, tree_order(x)
    as_it_is = x[systematic(weights.expand(20, -1), starts, 1000)].mean(1) - exact
    ordered = x[order[systematic(weights[order].expand(20, -1), starts, 1000)]].mean(1) - exact
    rms = [float((error**2).sum(1).mean().sqrt()) for error in (as_it_is, ordered)]
    assert 0.5 < rms[0] / (3 / 1000) ** 0.5 < 2  # as independent choices: sqrt(3 / 1000)
    assert rms[1] < 0.3 * rms[0]  # a cell of the tree is a tenth of the cloud across
