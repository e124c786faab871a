"""Truth: one step by hand, with the gradient of each member's own norm by autograd."""

import torch
from analytic import F64, small_gaussian

from sciml_diffusion.inverse.dps import DPS
from sciml_diffusion.observations.noise_laws import Poisson
from sciml_diffusion.observations.nonlinear import Composed
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = torch.tensor([2.0, 0.0], dtype=F64)


def test_step_is_an_ancestral_step_and_the_scaled_gradient_of_the_norm():
    denoiser, observation = small_gaussian()
    zeta, sigma = 0.7, SIGMAS[0]
    found = DPS(SIGMAS, zeta).sample(denoiser, observation, MemberStreams(0, [0], range(4), F64)).x[0]
    step = Ancestral(SIGMAS)(denoiser, MemberStreams(0, [0], range(4), F64))
    x_t = denoiser.start(sigma, MemberStreams(0, [0], range(4), F64)).requires_grad_()
    norms = (observation.y - observation.operator(denoiser(x_t, sigma))).norm(dim=1)
    gradient = torch.autograd.grad(norms.sum(), x_t)[0]
    scale = ((1 + sigma**2) * (1 + 0)).sqrt()
    torch.testing.assert_close(found, step - zeta * scale * gradient, rtol=0, atol=1e-12)  # the same sums, in float64


def test_step_does_not_depend_on_the_units_of_the_noise():
    denoiser, observation = small_gaussian()
    louder = Observation(observation.operator, observation.y, 10 * observation.std)
    first, second = (
        DPS(SIGMAS).sample(denoiser, data, MemberStreams(0, [0], range(4), F64)).x for data in (observation, louder)
    )
    assert torch.equal(first, second)  # the documented defect: no noise level in the step


def test_zero_residual_is_safe():
    denoiser, observation = small_gaussian()
    sigma = SIGMAS[0]
    x_t = denoiser.start(sigma, MemberStreams(0, [0], [0], F64))
    met = Observation(observation.operator, observation.operator(denoiser(x_t, sigma)), observation.std)
    found = DPS(SIGMAS).sample(denoiser, met, MemberStreams(0, [0], [0], F64)).x[0]
    plain = Ancestral(SIGMAS)(denoiser, MemberStreams(0, [0], [0], F64))
    assert torch.equal(found, plain)


def test_counts_are_compared_in_the_units_of_the_field():
    """One step by hand: the residual of counts is (y - background) / gain - A D, not y - A D."""
    denoiser, observation = small_gaussian()
    gain, background = torch.full((3,), 50.0, dtype=F64), torch.full((3,), 7.0, dtype=F64)
    rates = Composed(lambda h: h.exp(), observation.operator)
    seen = Observation(rates, torch.tensor([[60.0, 40.0, 90.0]], dtype=F64), Poisson(gain, background))
    zeta, sigma = 0.7, SIGMAS[0]
    found = DPS(SIGMAS, zeta).sample(denoiser, seen, MemberStreams(0, [0], range(4), F64)).x[0]
    step = Ancestral(SIGMAS)(denoiser, MemberStreams(0, [0], range(4), F64))
    x_t = denoiser.start(sigma, MemberStreams(0, [0], range(4), F64)).requires_grad_()
    norms = ((seen.y - background) / gain - rates(denoiser(x_t, sigma))).norm(dim=1)
    gradient = torch.autograd.grad(norms.sum(), x_t)[0]
    torch.testing.assert_close(found, step - zeta * (1 + sigma**2).sqrt() * gradient, rtol=0, atol=1e-10)  # float64
