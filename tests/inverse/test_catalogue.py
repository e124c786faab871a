"""The catalogue of methods says of each what its class says, and names every leaf of configs/posterior."""

import importlib

import pytest
import torch
import yaml
from analytic import F64, small_gaussian

from sciml_diffusion.inverse.catalogue import METHODS
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.resources import resource_folder
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = torch.tensor([2.0, 0.5, 0.0], dtype=F64)


def test_every_leaf_is_in_the_catalogue():
    leaves = {path.stem for path in (resource_folder("configs") / "posterior").glob("*.yaml")}
    assert leaves - {"auto"} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_needs_are_those_of_the_class(name):
    leaf = yaml.safe_load((resource_folder("configs") / "posterior" / f"{name}.yaml").read_text())
    module, _, attribute = leaf["_target_"].rpartition(".")
    assert getattr(importlib.import_module(module), attribute).needs == METHODS[name]


def test_an_observation_that_does_not_fit_is_refused_and_others_are_named():
    denoiser, observation = small_gaussian()
    bent = Observation(Function(lambda x: x[:, :3] ** 3, (6,), 3), observation.y, observation.std)
    with pytest.raises(ValueError, match="TwistedSMC needs a linear operator.*dps"):
        TwistedSMC(SIGMAS).sample(denoiser, bent, MemberStreams(0, [0], range(4), F64))
    black = Observation(Function(lambda x: x[:, :3] ** 3, (6,), 3, differentiable=False), bent.y, bent.noise)
    with pytest.raises(ValueError, match="a black box. Methods that take it"):
        MMPS(SIGMAS).sample(denoiser, black, MemberStreams(0, [0], range(4), F64))
