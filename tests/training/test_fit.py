"""Truths: a run without a stop, bit for bit; the exact denoiser of Gaussian data; a score that can only rise."""

import json
import math
import signal

import pytest
import torch
from torch import nn

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.training.augment import compose_augment
from sciml_diffusion.training.calibrate import calibrate
from sciml_diffusion.training.checkpoint import load_checkpoint, save_checkpoint
from sciml_diffusion.training.fit import FitConfig, fit
from sciml_diffusion.training.objective import DenoisingLoss

EVENT = (1, 8, 8)
OBJECTIVE = DenoisingLoss((0.1, 10.0))
CONFIG = FitConfig(steps=40, batch=4, warmup=5, validate_every=10, levels=2, device="cpu")


def data(n, seed=0):
    return torch.randn(n, *EVENT, generator=torch.Generator().manual_seed(seed)).cumsum(-1) / 2


def anchored(width=8):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet(2, 1, width=width, multipliers=(1, 2), boundary=("reflect", "periodic"))
    anchor = GaussianDenoiser(torch.zeros(EVENT), FourierBasis(2), torch.ones(EVENT))
    return AnchoredDenoiser.untrained(anchor, net, torch.tensor([math.log(0.1), 0.0, math.log(10)]))


def run(folder, **more):
    denoiser = anchored()
    options = {"augment": compose_augment(("mirror", "shift")), "seed": 3, "folder": folder, "progress": False} | more
    report = fit(denoiser, data(32), data(16, 1), OBJECTIVE, CONFIG, **options)
    return denoiser, report


def interrupt_at(step):
    """An augmentation that asks the run to stop, as Ctrl-C does, while it makes the batch of one step."""
    calls = iter(range(1, 1000))

    def augment(x, generator):
        if next(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return compose_augment(("mirror", "shift"))(x, generator)

    return augment


@pytest.mark.parametrize("stop", [20, 27])
def test_resume_bit_for_bit(tmp_path, stop):
    whole, report = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", augment=interrupt_at(stop))
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.safetensors")[1]["step"] == stop
    parts, again = run(tmp_path / "parts", resume=True)
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert (report.best_step, report.best_score, report.steps) == (again.best_step, again.best_score, again.steps)
    logs = [
        [json.loads(x) for x in (tmp_path / d / "train.jsonl").read_text().splitlines()] for d in ("whole", "parts")
    ]
    assert [{k: v for k, v in x.items() if k != "seconds"} for x in logs[0]] == [
        {k: v for k, v in x.items() if k != "seconds"} for x in logs[1]
    ]
    assert [x["step"] for x in logs[0]] == [10, 20, 30, 40]


def test_trains_and_keeps_the_best():
    denoiser, report = run(None)
    still = FitConfig(steps=1, learning_rate=0, levels=2)
    untrained = fit(anchored(), data(32), data(16, 1), OBJECTIVE, still, progress=False)
    assert report.best_score < 0.97 * untrained.best_score and report.steps == 40 and not denoiser.training


def test_early_stop_keeps_the_best():
    """Training windows unlike those of validation: every step makes the score worse, so the first weights are kept."""
    denoiser = anchored(width=16)
    start = FitConfig(
        steps=200, batch=4, learning_rate=0.02, warmup=1, validate_every=5, levels=2, patience=2, half_life=1
    )
    report = fit(denoiser, 20 * data(8), 0.01 * data(8, 1), OBJECTIVE, start, progress=False)
    assert report.steps < 200 and report.steps == report.best_step + 10
    x = 0.01 * data(8, 1)
    generator, losses = torch.Generator().manual_seed(0), []
    for sigma in (0.1 * 100**0.25, 0.1 * 100**0.75):  # the two levels and the noise that validation uses
        z = torch.randn(x.shape, generator=generator)
        with torch.no_grad():
            losses.append(float(OBJECTIVE(denoiser, x, torch.full((8,), sigma), z).mean()))
    assert math.sqrt(losses[0] * losses[1]) == pytest.approx(report.best_score, rel=1e-5)


class Diagonal(nn.Module):
    """F = (a_0 + a_1 c + a_2 c^2 + a_3 c^3) x for each row: linear in x, c = ln(sigma) / 4."""

    arguments = {}

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(4, *EVENT[1:]))

    def forward(self, x, c_noise):
        powers = c_noise[:, None] ** torch.arange(4)
        return torch.einsum("np,phw->nhw", powers, self.a)[:, None] * x


def test_linear_network_approaches_the_exact_denoiser():
    """x = diag(0.5 or 2) z has the exact denoiser v / (v + sigma^2) x_t: within 1 % of its error after training."""
    scale = torch.ones(EVENT)
    scale[..., ::2], scale[..., 1::2] = 0.5, 2.0
    exact = GaussianDenoiser(torch.zeros(EVENT), FourierBasis(2), torch.ones(EVENT))
    x = scale * torch.randn(4096, *EVENT, generator=torch.Generator().manual_seed(0))
    check = scale * torch.randn(512, *EVENT, generator=torch.Generator().manual_seed(1))
    denoiser = PreconditionedDenoiser(Diagonal(), EVENT)
    config = FitConfig(steps=600, batch=256, learning_rate=0.03, validate_every=600, half_life=20, device="cpu")
    objective = DenoisingLoss((0.3, 3.0))
    fit(denoiser, x, check, objective, config, progress=False)
    generator = torch.Generator().manual_seed(2)
    sigma, z = objective.draw(check, generator)
    x_t = check + sigma[:, None, None, None] * z
    best = scale**2 / (scale**2 + sigma[:, None, None, None] ** 2) * x_t
    weight = exact.surrogate(torch.tensor(1.0)).variance.sum()
    with torch.no_grad():
        trained, least = ((d - check).square().mean() / weight for d in (denoiser(x_t, sigma), best))
    assert float(least) * 0.999 < float(trained) < 1.01 * float(least)


def test_mixed_precision_leaves_float32_weights():
    denoiser, config = anchored(), FitConfig(steps=2, batch=4, precision="bf16", device="cpu")
    fit(denoiser, data(8), data(8, 1), OBJECTIVE, config, progress=False)
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in denoiser.parameters())
    assert "forward" not in vars(denoiser.backbone)


def test_incomplete_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="without resume"):
        run(tmp_path, resume=True)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.ones(1000)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match="incomplete"):
        run(tmp_path, resume=True)
    save_checkpoint(path, {"weights:a": torch.ones(3)}, {"step": 1})
    with pytest.raises(ValueError, match="does not fit this network"):
        run(tmp_path, resume=True)
    assert [p.name for p in tmp_path.glob("*.partial")] == []


def test_loss_that_is_not_finite():
    with pytest.raises(FloatingPointError, match="learning_rate"):
        fit(anchored(), torch.full((8, *EVENT), math.nan), data(8), OBJECTIVE, CONFIG, progress=False)


@pytest.mark.parametrize("pool", ["mode", "relative"])
def test_calibration_is_never_worse_than_the_gaussian(pool):
    """Data of variance 4 in half of the modes, anchored at 1: each mode's error ratio is known."""
    truth = torch.ones(EVENT)
    truth[..., ::2] = 4.0
    x = FourierBasis(2).inverse(truth.sqrt() * torch.randn(2000, *EVENT, generator=torch.Generator().manual_seed(0)))
    result = calibrate(anchored(), x, pool=pool, draws=1)
    assert (result.beta == 0).all()  # an untrained network is 0: nothing to trust
    sigma = torch.tensor(1.0)
    # gain 1/2 at sigma = 1: error (v + sigma^2) / 4 over P = 1/2; 2000 draws leave 3.2 % on a mode
    expected = (truth + 1) / 4 / 0.5
    measured = result.surrogate(sigma).variance / result.anchor.surrogate(sigma).variance
    if pool == "mode":
        torch.testing.assert_close(measured, expected, rtol=0.15, atol=0)
    else:
        torch.testing.assert_close(measured, torch.ones(EVENT))  # no better than the anchor, no worse


def test_calibration_wants_both_halves_to_agree():
    """A correction that fits the first half and has the wrong sign on the second is not trusted at all."""
    denoiser = anchored()
    denoiser.backbone.last.bias.data.fill_(1.0)
    with torch.no_grad():
        _, effect = denoiser.parts(torch.zeros(1, *EVENT), torch.tensor(1.0))
    x = torch.randn(200, *EVENT, generator=torch.Generator().manual_seed(0))
    assert (calibrate(denoiser, torch.cat([x + 2 * effect, x + effect]), draws=1).beta[1:] > 0.3).all()
    assert (calibrate(denoiser, torch.cat([x + 2 * effect, x - effect]), draws=1).beta == 0).all()


def test_calibration_finds_beta():
    """A network that overshoots by two is trusted by half: F constant, x shifted by half of its effect."""
    denoiser = anchored()
    denoiser.backbone.last.bias.data.fill_(2.0)
    sigma = torch.tensor(1.0)
    with torch.no_grad():
        x = torch.randn(500, *EVENT, generator=torch.Generator().manual_seed(0))
        _, effect = denoiser.parts(x[:1], sigma)
    # P = sigma^2 / (1 + sigma^2) mixes mean and noise: with x = m + noise, r = m / 2 + ... at sigma = 1: beta = m/2/f
    mean = 2 * 0.5 * effect[0]
    result = calibrate(denoiser, mean + x, draws=1, strength=16)
    # r has the mean m / 2 and the variance 1/2 (half of x's and half of z's, each over 4), of which beta f leaves 1/2;
    # least squares, leaning on 0 by the weight of 16 windows times that share; the smaller of two halves of 250 is
    # some 1 % low
    unexplained = 0.5 / (0.5 + float(effect.square().mean()) / 4)
    assert float(result.beta[1]) == pytest.approx(0.5 * (1 - unexplained * 16 / 516), abs=0.02)
    few = calibrate(denoiser, mean + x, draws=1, strength=16, independent=4)
    ratio = (1 - unexplained * 16 / 20) / (1 - unexplained * 16 / 516)
    assert float(few.beta[1] / result.beta[1]) == pytest.approx(ratio, rel=0.02)
