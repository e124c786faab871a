"""The rules of `auto`, one test each, and its fallback. Truths: the rules as written; closed-form mixtures and kriging.

The members that it returns are those of the method that it names, to the last bit.
"""

import numpy as np
import pytest
import torch
from analytic import F64, gmm, gmm2, grfmix_prior, small_gaussian
from registry import DENOISERS

import sciml_diffusion as sd
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.inverse import auto
from sciml_diffusion.inverse.auto import Auto, Facts, candidates, collapsed, look
from sciml_diffusion.inverse.enkg import EnKG
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.smc import MomentMatchedSMC
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = karras_sigmas(6, 0.05, 4.0)


def _facts(**changes) -> Facts:
    return Facts(**({"bends": False, "black_box": False, "sensors": 100, "members": 64, "prior": "implicit"} | changes))


@pytest.mark.parametrize(
    ("facts", "options", "name", "kind", "words"),
    [
        ({"bends": True, "black_box": True}, {}, "enkg", EnKG, "black box"),
        ({"bends": True}, {}, "mmps", MMPS, "not linear and Gaussian"),
        ({"prior": "nearly linear"}, {}, "mmps", MMPS, "nearly Gaussian"),
        ({"prior": "nearly linear"}, {"evidence": True}, "gs-smc", GaussianSurrogateSMC, "evidence"),
        ({"sensors": 8}, {}, "smc", MomentMatchedSMC, "only 8 sensors"),
        ({"sensors": 9}, {"few": 9}, "smc", MomentMatchedSMC, "only 9 sensors"),
        ({"sensors": 2, "prior": "mixture"}, {}, "gs-smc", GaussianSurrogateSMC, "4 particles"),
        ({"prior": "mixture"}, {}, "gs-smc", GaussianSurrogateSMC, "the prior has modes and there are 100 sensors"),
        ({"prior": "far from linear"}, {}, "mmps", MMPS, "own derivative"),
        ({"prior": "far from linear", "sensors": 2}, {}, "mmps", MMPS, "own derivative"),
        ({"prior": "implicit"}, {}, "mmps", MMPS, "own derivative"),
    ],
)
def test_each_rule(facts, options, name, kind, words):
    best = candidates(SIGMAS, _facts(**facts), **options)[0]
    assert best.name == name and isinstance(best.method, kind) and words in best.why


def test_what_the_rules_look_at():
    gaussian, observation = small_gaussian()
    assert look(gaussian, observation, 5) == Facts(False, False, 3, 5, "nearly linear")
    mixture = gmm2()
    assert look(mixture.denoiser, mixture.observation, 5).prior == "mixture"
    varied = MixtureDenoiser(
        mixture.denoiser.log_weights, mixture.denoiser.means, mixture.denoiser.basis, torch.rand(25, 2, dtype=F64) + 1
    )
    assert look(varied, mixture.observation, 5).prior == "implicit"
    assert look(grfmix_prior(16)[0], mixture.observation, 5).prior == "mixture"
    assert look(DENOISERS["preconditioned"](), observation, 5).prior == "implicit"
    anchored = DENOISERS["anchored"]()  # its squared error is half of the Gaussian's and more: below LINEAR somewhere
    assert look(anchored, observation, 5).prior == ("nearly linear" if anchored.nearly_linear else "far from linear")
    bent = Observation(Function(lambda x: x[:, :3] ** 3, (6,), 3, False), observation.y, observation.std)
    assert look(gaussian, bent, 5) == Facts(True, True, 3, 5, "nearly linear")


def test_a_budget_buys_the_best_within_it_or_the_cheapest():
    facts = _facts(sensors=1)
    names = {b: Auto(SIGMAS, budget=b).chosen(facts).name for b in (48, 20, 3)}
    assert names == {48: "smc", 20: "smc", 3: "smc"}
    pools = {b: Auto(SIGMAS, budget=b).chosen(facts).method.pool for b in (48, 20, 3)}
    assert pools == {48: 4, 20: 1, 3: 1}
    assert "cheapest" in Auto(SIGMAS, budget=3).chosen(facts).why
    assert Auto(SIGMAS, budget=36).chosen(_facts(prior="mixture")).name == "mmps"
    with pytest.raises(ValueError, match="budget > 0"):
        Auto(SIGMAS, budget=0)


def test_the_members_are_those_of_the_method_that_it_names():
    problem = gmm(8, 2, 0)

    def streams() -> MemberStreams:
        return MemberStreams(0, [0], range(64), F64)

    sigmas = problem.sigmas(20)
    ours = Auto(sigmas).sample(problem.denoiser, problem.observation, streams())
    assert ours.diagnostics["method"] == ("gs-smc",) and "particles" in ours.diagnostics["reason"][0]
    same = GaussianSurrogateSMC(sigmas, 0.25, rank=8, pool=4).sample(problem.denoiser, problem.observation, streams())
    torch.testing.assert_close(ours.x, same.x, rtol=0, atol=0)
    assert ours.diagnostics["network_calls"] == same.diagnostics["network_calls"]


def test_a_window_whose_weights_collapse_is_done_again_without_them(monkeypatch):
    problem = gmm2()
    y = torch.tensor([[1.6], [3.6]], dtype=F64)
    observation = Observation(problem.observation.operator, y, problem.observation.std)
    monkeypatch.setattr(auto, "collapsed", lambda family_ess, members: [1])
    streams = MemberStreams(3, [0, 1], range(20), F64)
    sigmas = problem.sigmas(8)
    ours = Auto(sigmas).sample(problem.denoiser, observation, streams)
    assert ours.diagnostics["method"] == ("gs-smc", "mmps")
    assert "the weights of gs-smc collapsed" in ours.diagnostics["reason"][1]
    plain = MMPS(sigmas).sample(problem.denoiser, observation, MemberStreams(3, [0, 1], range(20), F64))
    # batched over one window or two: equal to the rounding of float64
    torch.testing.assert_close(ours.x[1], plain.x[1], rtol=0, atol=1e-10)
    assert (ours.log_weights[1] == 0).all() and ours.diagnostics["family_ess"][1] == 20
    assert ours.diagnostics["log_evidence"].isnan().tolist() == [False, True]


def test_collapse_is_below_four_families_or_a_tenth_of_the_members():
    assert collapsed(torch.tensor([3.9, 4.1, torch.nan]), 16) == [0, 2]
    assert collapsed(torch.tensor([6.0, 7.0]), 64) == [0]
    assert collapsed(torch.tensor([15.9, 16.1]), 1000) == [0]  # a family more tells modes apart; MMPS never does
    assert collapsed(torch.tensor([1.9, 2.1]), 4) == [0]


def test_mode_weights_are_those_of_the_posterior():
    """Six modes of the plane: mode error of 400 members near that of exact draws; moment matching is off by .29."""
    problem, members = gmm2(), 400
    streams = MemberStreams(1, [0], range(members), F64)
    ensemble = Auto(problem.sigmas(60)).sample(problem.denoiser, problem.observation, streams)
    cells = problem.denoiser.means
    counts = torch.zeros(25, dtype=F64).index_add(0, torch.cdist(ensemble.x[0], cells).argmin(1), ensemble.weights[0])
    draws = problem.posterior.draw(100_000, torch.Generator().manual_seed(0))
    exact = torch.bincount(torch.cdist(draws, cells).argmin(1), minlength=25) / 100_000
    # as many exact draws miss by .04 on average (25 cells, six that matter)
    assert 0.5 * float((counts - exact).abs().sum()) < 0.09


def test_the_facade_says_what_was_chosen():
    prior = sd.load_prior("era5-uk-t2m")
    fields = sd.open_dataset("era5-uk-t2m").isel(time=slice(0, 8))
    obs = sd.observe(fields, stations=4, std=0.5, seed=0)
    post = sd.posterior(prior, obs, method="auto", members=2, steps=2, progress=False)
    assert post.attrs["method"] == "Auto" and post.attrs["choice"].startswith("mmps: the prior is nearly Gaussian")
    same = sd.posterior(prior, obs, method="mmps", members=2, steps=2, progress=False)
    np.testing.assert_array_equal(post["t2m"].values, same["t2m"].values)


def test_words_for_windows_that_differ():
    from sciml_diffusion.to_xarray import in_words

    assert in_words(("", "a: b")) == "a: b"
    assert in_words(("c: d", "a: b", "a: b")) == "a: b [2 of 3 windows]; c: d [1 of 3 windows]"
