"""Potentials by name."""

from torch import Tensor

from ..observations.observation import Observation
from .gaussian_model import GaussianModel
from .heat_flow import HeatFlow, LinearPotential, TemperedLinear
from .potentials import Potential
from .tempered import Denoised, Tempered

POTENTIALS = ("auto", "heat", "denoised", "tempered", "constant")
TYPICAL = 4  # points at which an operator is linearised to choose gamma


def make_potential(
    name: str, gamma: float | None, observation: Observation, tau: Tensor, model: GaussianModel
) -> Potential:
    """The potential of a name, one of POTENTIALS, that carries an observation; "auto": heat, or else denoised.

    Arguments:
        gamma: of "tempered" and "denoised"; None reads it off A at typical draws from the model.
        tau: the first level, shape ().
        model: of the prior.

    Raises:
        ValueError: where "heat" is asked for data that are not linear and Gaussian.
    """
    at = model.typical(TYPICAL)
    if name == "denoised" or (name == "auto" and not observation.linear_gaussian):
        return Denoised(observation, gamma, model, at)
    if observation.linear_gaussian:
        if name == "tempered":
            return TemperedLinear(observation, gamma, at.dtype)
        return (LinearPotential if name == "constant" else HeatFlow)(observation, at.dtype)
    if name == "heat":
        raise ValueError(
            "the heat-flow potential needs a linear operator and Gaussian noise; take 'denoised', 'tempered' or 'auto'"
        )
    return Tempered(observation, 0.0 if name == "constant" else gamma, tau, at)
