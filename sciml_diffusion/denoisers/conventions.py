"""Networks of other trainings as denoisers: VP, cosine, flow matching and EDM, by the exact change of variables."""

import torch
from torch import Tensor, nn

from .base import Denoiser, expand
from .schedules import Flow, Schedule

PREDICTIONS = ("x", "noise", "v", "velocity", "score", "edm")


class ConvertedDenoiser(Denoiser):
    """D(x_t, sigma) from a network that was trained on x' = a x + s z: it is fed x' = a x_t and t, s = a sigma.

    What the network predicts, and x from it:

    - "x": x itself;
    - "noise": z; x = (x' - s z) / a (DDPM);
    - "v": v = a z - s x; x = (a x' - s v) / (a^2 + s^2) (Salimans and Ho, 2022);
    - "velocity": z - x, or x - z where data lie at t = 1; x = x' - s velocity (flow matching alone);
    - "score": of x'; x = (x' + s^2 score) / a;
    - "edm": the bare F of Karras et al., fed c_in x'; x = c_skip x' + c_out F at their sigma_data.

    Use a noise grid within the range of sigma that the network was trained on: 0.01 to 157 for the schedule of DDPM.

    Arguments:
        network: (N, *event), t (N,) -> (N, *event).
        event: shape of one x.
        schedule: of the training.
        prediction: one of the above.
        data_std: standard deviation of x that the training assumed (edm).

    Raises:
        ValueError: where the prediction is unknown, or does not fit the schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        event: tuple[int, ...],
        schedule: Schedule,
        prediction: str = "noise",
        data_std: float = 0.5,
    ):
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {prediction!r}")
        if (prediction == "velocity") != isinstance(schedule, Flow):
            raise ValueError(
                f"a network that predicts {prediction!r} was not trained on the schedule {type(schedule).__name__}: "
                "'velocity' belongs to Flow, and Flow to it"
            )
        if not data_std > 0:
            raise ValueError(f"data_std must be > 0; got {data_std}")
        self.network, self.event, self.schedule = network, tuple(event), schedule
        self.prediction, self.data_std = prediction, data_std

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the denoiser can be rebuilt."""
        names = ("network", "schedule", "prediction", "data_std")
        return {name: getattr(self, name) for name in names} | {"event": list(self.event)}

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D(x_t, sigma), with shape (N, *event); x_t (N, *event), sigma finite, () or (N,)."""
        alpha, t = self.schedule(sigma)
        a, s = expand(alpha, x_t), expand(alpha * sigma, x_t)
        seen, t = a * x_t, t.expand(len(x_t))
        if self.prediction == "edm":
            total = s**2 + self.data_std**2
            f = self.network(seen * total.rsqrt(), t).to(x_t)
            return (self.data_std**2 * seen + s * self.data_std * total.sqrt() * f) / (total * a)
        out = self.network(seen, t).to(x_t)
        if self.prediction == "noise":
            return x_t - expand(sigma, x_t) * out
        if self.prediction == "v":
            return (a * seen - s * out) / (a**2 + s**2)
        if self.prediction == "velocity":
            return seen + s * out if self.schedule.data_at_one else seen - s * out
        if self.prediction == "score":
            return x_t + s * expand(sigma, x_t) * out
        return out


def ddpm_betas(steps: int = 1000, begin: float = 1e-4, end: float = 0.02) -> Tensor:
    """The linear betas of DDPM, float64, with shape (steps,)."""
    return torch.linspace(begin, end, steps, dtype=torch.float64)
