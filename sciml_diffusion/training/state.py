"""All that changes during training, and its way to a checkpoint and back."""

import math
from pathlib import Path

import torch

from ..denoisers.precondition import TrainableDenoiser
from .checkpoint import load_checkpoint, save_checkpoint, section
from .ema import EMA, load
from .objective import Balance

CHECKPOINT = "checkpoint.safetensors"
NUMBERS = ("step", "waiting", "score", "best_score", "best_step", "best_by_sigma", "seconds")


class TrainingState:
    """Weights, their average, the best average, optimiser, random state and counters of one run.

    Arguments:
        denoiser: its parameters are trained.
        optimiser: over these parameters.
        half_life: of the average, in steps.
        balance: weights by noise level.
        seed: of the run's one generator.
    """

    def __init__(
        self,
        denoiser: TrainableDenoiser,
        optimiser: torch.optim.Optimizer,
        half_life: float,
        balance: Balance,
        seed: int,
    ):
        self.denoiser, self.optimiser, self.balance = denoiser, optimiser, balance
        self.ema = EMA(denoiser, half_life)
        self.generator = torch.Generator().manual_seed(seed)
        self.step = self.waiting = self.best_step = 0
        self.score = self.best_score = math.inf
        self.best_by_sigma: dict[str, float] = {}
        self.best = {k: v.clone() for k, v in self.ema.weights.items()}
        self.seconds = 0.0

    def judge(self, by_sigma: dict[str, float]) -> None:
        """Takes in a validation: its geometric mean is the score; the best average is kept."""
        self.score = math.exp(sum(math.log(max(v, 1e-300)) for v in by_sigma.values()) / len(by_sigma))
        self.waiting += 1
        if self.score < self.best_score:
            self.waiting, self.best_step, self.best_score, self.best_by_sigma = 0, self.step, self.score, by_sigma
            self.best = {k: v.clone() for k, v in self.ema.weights.items()}

    def save(self, path: Path) -> None:
        """Writes a checkpoint, whole or not at all."""
        weights = dict(self.denoiser.named_parameters())
        sections = {"weights": weights, "ema": self.ema.weights, "best": self.best}
        tensors = {f"{name}:{k}": v for name, part in sections.items() for k, v in part.items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser:{i}:{k}": torch.as_tensor(v) for k, v in moments.items()}
        tensors["balance:"] = self.balance.mean
        tensors["generator:"] = self.generator.get_state()
        save_checkpoint(path, tensors, {"ema_updates": self.ema.updates} | {k: getattr(self, k) for k in NUMBERS})

    def restore(self, path: Path) -> None:
        """Reads a checkpoint of the same network.

        Raises:
            FileNotFoundError: there is none. ValueError: it is incomplete, or of another network.
        """
        tensors, state = load_checkpoint(path)
        try:
            load(self.denoiser, section(tensors, "weights"))
            for name, own in (("ema", self.ema.weights), ("best", self.best)):
                for key, value in section(tensors, name).items():
                    own[key].copy_(value)
            moments: dict[int, dict] = {}
            for key, value in section(tensors, "optimiser").items():
                index, _, name = key.partition(":")
                moments.setdefault(int(index), {})[name] = value
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
            self.balance.mean.copy_(tensors["balance:"])
            self.generator.set_state(tensors["generator:"])
            self.ema.updates = state["ema_updates"]
            for name in NUMBERS:
                setattr(self, name, state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint {path} does not fit this network ({error}); start again without resume=true"
            ) from error
