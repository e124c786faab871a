"""Warnings of data that the prior cannot explain. Truth: how far y lies from N(A mu, A C A^T + R)."""

import warnings
from dataclasses import replace

import pytest
import torch
from analytic import small_gaussian

from sciml_diffusion.inverse.reconstruct import warn_if_implausible
from sciml_diffusion.observations.noise import Correlated


def test_data_far_from_the_prior_are_named_and_usual_data_pass():
    denoiser, observation = small_gaussian()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_implausible(denoiser, observation)
    with pytest.warns(UserWarning, match="standard deviations from what the prior expects"):
        warn_if_implausible(denoiser, replace(observation, y=observation.y + 1e3))


def test_noise_of_full_covariance_is_seen_when_it_is_whitened():
    denoiser, observation = small_gaussian()
    covariance = torch.diag(observation.std**2) + 0.01
    far = replace(observation, y=observation.y + 1e3, noise=Correlated(covariance))
    with pytest.warns(UserWarning, match="standard deviations from what the prior expects"):
        warn_if_implausible(denoiser, far.whitened()[0])
