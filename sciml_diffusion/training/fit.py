"""The training loop: from windows to the best averaged weights, interruptible at every step."""

import json
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..denoisers.precondition import TrainableDenoiser
from .ema import load
from .objective import Balance, DenoisingLoss
from .state import CHECKPOINT, TrainingState

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG = "train.jsonl"
CHUNK = 64  # windows at once in validation
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class FitConfig:
    """Numbers of a training run.

    Arguments:
        steps: optimiser steps; the learning rate falls as a cosine to 1 % at the last.
        batch: windows of one step.
        learning_rate, warmup, clip: of AdamW; steps of linear growth; largest norm of the gradient.
        half_life: of the weights' average, in steps.
        validate_every: steps between validations; each one also writes a checkpoint.
        levels: noise levels of a validation, evenly spaced in ln sigma within the objective's range.
        check: windows of a validation at most, evenly chosen.
        patience: validations without a new best before an early stop.
        precision: "no", "bf16" (autocast of the network; the weights stay float32), or "auto": bf16 on an accelerator
            and on processors that have instructions for it, where a step takes 0.6 of the time.
        device: "cpu", or "auto" for the accelerator that is there.
    """

    steps: int = 2000
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    clip: float = 1.0
    half_life: float = 100.0
    validate_every: int = 100
    levels: int = 6
    check: int = 128
    patience: int = 10
    precision: str = "no"
    device: str = "auto"

    def __post_init__(self):
        if min(self.steps, self.batch, self.validate_every, self.levels, self.check, self.patience) < 1:
            raise ValueError("steps, batch, validate_every, levels, check and patience must be at least 1")
        if not (self.learning_rate >= 0 and self.clip > 0 and self.half_life > 0 and self.warmup >= 0):
            raise ValueError(
                "clip and half_life must be > 0, learning_rate and warmup at least 0; "
                f"got {self.clip}, {self.half_life}, {self.learning_rate} and {self.warmup}"
            )
        if self.precision not in ("no", "bf16", "auto") or self.device not in ("cpu", "auto"):
            raise ValueError(
                f"precision is 'no', 'bf16' or 'auto', device 'cpu' or 'auto'; got {self.precision!r}, {self.device!r}"
            )


@dataclass
class FitReport:
    """What a run did: steps done, step and score of the best weights, error ratio by noise level there, seconds."""

    steps: int
    best_step: int
    best_score: float
    by_sigma: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def fit(
    denoiser: TrainableDenoiser,
    data: Tensor,
    validation: Tensor,
    objective: DenoisingLoss,
    config: FitConfig = FitConfig(),
    *,
    seed: int = 0,
    augment: Augment | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> FitReport:
    """Trains the backbone of a denoiser and leaves the best averaged weights in it.

    The score is the geometric mean over noise levels of the validation error over its value at the start (1 is the
    Gaussian, for an anchored denoiser), always for the same noise. Ctrl-C ends the step, writes a checkpoint and raises
    KeyboardInterrupt; `resume=True` then gives the same weights, bit for bit on one machine, as a run without a stop.

    Arguments:
        denoiser: changed in place, on the CPU afterwards.
        data, validation: windows of different periods in diffusion space, with shapes (N, *event) and (M, *event).
        objective, config: the loss, and the numbers of the run.
        seed: of batches, noise and augmentation.
        augment: (windows (N, *event), generator) -> windows of the same shape and the same law.
        folder: where train.jsonl and checkpoint.safetensors go; nothing is written by default.
        resume, progress: go on from the folder's checkpoint; show a progress bar.

    Raises:
        FileNotFoundError, ValueError: no complete checkpoint to resume. FloatingPointError: the loss is not finite.
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision="no")
    denoiser.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(denoiser.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2)
    denoiser, optimiser = accelerator.prepare(denoiser, optimiser)
    state = TrainingState(denoiser, optimiser, config.half_life, Balance(objective.sigma_range), seed)
    log = _Log(folder, resume)
    if resume:
        state.restore(log.folder / CHECKPOINT)
        log.keep_until(state.step)
    run = _Run(accelerator, data, validation[:: -(-len(validation) // config.check)], objective, config, augment)
    bar = tqdm(total=config.steps, initial=state.step, desc="train", disable=not progress, unit="step")
    with bar, _precision(denoiser.backbone, accelerator.device.type, config.precision):
        _loop(run, state, log, bar)
    load(denoiser, state.best)
    denoiser.cpu().eval()
    return FitReport(state.step, state.best_step, state.best_score, state.best_by_sigma, state.seconds)


@dataclass(frozen=True, eq=False)
class _Run:
    """What does not change during a run."""

    accelerator: "Accelerator"
    data: Tensor
    validation: Tensor
    objective: DenoisingLoss
    config: FitConfig
    augment: Augment | None


def _loop(run: _Run, state: TrainingState, log: "_Log", bar) -> None:
    """Steps, validations and checkpoints until the last step, an early stop or a request to end."""
    config, began = run.config, time.monotonic() - state.seconds
    with _stop_flag() as stop:
        while state.step < config.steps and state.waiting < config.patience:
            loss = _train_step(run, state)
            state.seconds = time.monotonic() - began
            due = state.step % config.validate_every == 0 or state.step == config.steps
            if due:
                by_sigma = _validate(run, state)
                state.judge(by_sigma)
                entry = {"step": state.step, "loss": loss, "score": state.score, "by_sigma": by_sigma}
                log.write(**entry, seconds=round(state.seconds, 1))
                bar.set_postfix_str(f"loss {loss:.4f}, validation {state.score:.4f}, best {state.best_score:.4f}")
            if log.folder and (due or stop.is_set()):
                state.save(log.folder / CHECKPOINT)
            bar.update()
            if stop.is_set():
                raise KeyboardInterrupt(f"stopped after step {state.step}; resume=true goes on from there")


def _train_step(run: _Run, state: TrainingState) -> float:
    """One optimiser step, in the one order in which random numbers are drawn; returns the loss."""
    config, generator = run.config, state.generator
    x = run.data[torch.randint(len(run.data), (config.batch,), generator=generator)]
    x = x if run.augment is None else run.augment(x, generator)
    x = x.to(run.accelerator.device)
    sigma, z = run.objective.draw(x, generator)
    for group in state.optimiser.param_groups:
        group["lr"] = config.learning_rate * _schedule(state.step, config)
    losses = run.objective(state.denoiser, x, sigma, z)
    loss = losses.mean()
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {state.step}; lower learning_rate (now {config.learning_rate})"
        )
    state.optimiser.zero_grad()
    run.accelerator.backward(state.balance(losses, sigma).mean())
    run.accelerator.clip_grad_norm_(state.denoiser.parameters(), config.clip)
    state.optimiser.step()
    state.ema.update(state.denoiser)
    state.step += 1
    return loss.item()


@torch.no_grad()
def _validate(run: _Run, state: TrainingState) -> dict[str, float]:
    """Error ratio at each noise level, for the averaged weights and always the same noise."""
    kept = {k: p.detach().clone() for k, p in state.denoiser.named_parameters()}
    state.ema.copy_to(state.denoiser)
    state.denoiser.eval()
    generator = torch.Generator().manual_seed(0)
    device = next(iter(kept.values())).device
    low, high = (math.log(s) for s in run.objective.sigma_range)
    places = (torch.arange(run.config.levels, dtype=torch.float64) + 0.5) / run.config.levels
    result = {}
    for sigma in (low + (high - low) * places).exp().tolist():
        total = 0.0
        for x in run.validation.split(CHUNK):
            z = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(device)
            levels = torch.full((len(x),), sigma, dtype=x.dtype, device=device)
            total += run.objective(state.denoiser, x.to(device), levels, z).sum().item()
        result[f"{sigma:.4g}"] = total / len(run.validation)
    load(state.denoiser, kept)
    state.denoiser.train()
    return result


def _schedule(step: int, config: FitConfig) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine from 1 to 0.01."""
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps))))


class _Log:
    """Lines of JSON in a folder, or nowhere."""

    def __init__(self, folder: Path | None, resume: bool):
        if resume and folder is None:
            raise ValueError("resume=True needs the folder of the run")
        self.folder = None if folder is None else Path(folder)
        if self.folder and not resume:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / LOG).write_text("")

    def keep_until(self, step: int) -> None:
        """Drops what was logged after the checkpoint."""
        path = self.folder / LOG
        lines = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, **entry) -> None:
        if self.folder:
            with (self.folder / LOG).open("a") as file:
                file.write(json.dumps(entry) + "\n")


@contextmanager
def _precision(backbone: torch.nn.Module, device: str, precision: str):
    """Runs the network, and nothing else, in bfloat16: a covariance's small variances do not survive it."""
    plain, native = backbone.forward, getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    reduced = precision == "bf16" or (precision == "auto" and (device != "cpu" or native()))

    def forward(*arguments):
        with torch.autocast(device, torch.bfloat16):
            return plain(*arguments).float()

    if reduced:
        backbone.forward = forward
    try:
        yield
    finally:
        backbone.__dict__.pop("forward", None)


@contextmanager
def _stop_flag():
    """An event that Ctrl-C or a request to end sets, so that a step is never cut in two."""
    stop, before = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
