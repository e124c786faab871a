"""Truth: a Gaussian's posterior by kriging, while the surrogate that makes the path is wrong on purpose."""

import pytest
import torch
from analytic import F64, Kriging, grf, small_gaussian

from sciml_diffusion.denoisers.covariance import Covariance
from sciml_diffusion.inverse.block_moves import BlockMoves, block_labels
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams


def _wrong(denoiser, factor):
    """The surrogate's variance times a factor for each coefficient; right at infinity."""
    exact = denoiser.surrogate
    denoiser.surrogate = lambda sigma: (
        exact(sigma) if torch.isinf(sigma) else Covariance(denoiser.basis, factor * exact(sigma).variance)
    )


def test_mean_and_spread_come_right_under_a_wrong_surrogate():
    """Errors of -60 to +80 %: the proposal is off by many standard errors, the chains are not, and no weights are."""
    denoiser, observation = small_gaussian()
    truth, members = Kriging(denoiser, observation), 1500
    _wrong(denoiser, torch.linspace(0.4, 1.8, 6, dtype=F64))
    sigmas, std = karras_sigmas(30, 0.02, 5.0), truth.covariance.diagonal().sqrt()
    plain = GaussianSurrogateSMC(sigmas, trigger=0.0).sample(
        denoiser, observation, MemberStreams(1, [0], range(members), F64)
    )
    ensemble = BlockMoves(sigmas, blocks=2, sweeps=12).sample(
        denoiser, observation, MemberStreams(1, [0], range(members), F64)
    )
    assert (ensemble.log_weights == 0).all()
    standard = members**0.5  # of a mean in units of std; a log-std has 1 / sqrt(2 K)
    biased, error = ((x.mean(0) - truth.mean) / std * standard for x in (plain.x[0], ensemble.x[0]))
    assert (biased**2).mean() > 6  # 1 for exact draws
    assert error.abs().max() < 4 + 0.02 * standard  # four standard errors, and 2 % for 30 steps
    assert ((ensemble.x[0].std(0) / std).log().abs() < 4 / (2 * members) ** 0.5 + 0.03).all()
    assert 0.2 < float(ensemble.diagnostics["acceptance"][0]) < 0.95


def test_nothing_is_refused_where_the_surrogate_is_right():
    denoiser, observation = small_gaussian(2)
    method = BlockMoves(karras_sigmas(6, 0.05, 4.0), blocks=3, sweeps=2, rho=0.5)
    ensemble = method.sample(denoiser, observation, MemberStreams(0, [0, 1], range(8), F64))
    torch.testing.assert_close(ensemble.diagnostics["acceptance"], torch.ones(2, dtype=F64), rtol=0, atol=0)
    assert (ensemble.diagnostics["log_weight_variance"] < 1e-12).all()  # rounding, squared


def test_a_field_moves_block_by_block():
    """grf on 32 x 32 cells with errors of 50 % at random in each mode: the mean comes nearer than the proposal's."""
    problem = grf(2, 0, n=32)
    g = torch.Generator().manual_seed(5)
    shape = problem.denoiser.variance.shape
    _wrong(problem.denoiser, torch.where(torch.randn(shape, generator=g, dtype=F64) > 0, 1.5, 0.5))
    sigmas = problem.sigmas(8)
    z = []
    for method in (GaussianSurrogateSMC(sigmas, trigger=0.0), BlockMoves(sigmas, blocks=3, sweeps=3)):
        ensemble = method.sample(problem.denoiser, problem.observation, MemberStreams(2, [0], range(48), F64))
        error = (ensemble.x[0].mean(0) - problem.posterior.mean) / problem.posterior.stationary_std()
        z.append(float((error**2).mean().sqrt()))
    assert z[1] < 0.85 * z[0]
    assert float(ensemble.diagnostics["log_weight_variance"][0]) > 5  # weights of whole paths would have died


def test_blocks_cover_every_cell_once():
    label = block_labels((2, 8, 6), 2, False).reshape(2, 8, 6)
    assert label.max() == 3 and (label[0] == label[1]).all()
    assert (label[0, :4, :3] == 0).all() and (label[0, 4:, 3:] == 3).all()
    moved = block_labels((2, 8, 6), 2, True).reshape(2, 8, 6)
    assert (moved[0] == label[0].roll((2, 1), (0, 1))).all()
    assert (block_labels((6,), 3, False) == torch.tensor([0, 0, 1, 1, 2, 2])).all()
    assert block_labels((3,), 8, False).tolist() == [0, 1, 2]


@pytest.mark.parametrize("wrong", [{"blocks": 0}, {"sweeps": 0}, {"rho": 1.0}, {"rank": -1}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="block moves need"):
        BlockMoves(karras_sigmas(4, 0.1, 4.0), **wrong)
