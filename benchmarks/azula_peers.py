"""Peers of posterior_exactness.py: the posterior methods of azula, run by the interpreter of their own environment.

    PYTHON benchmarks/azula_peers.py FOLDER

FOLDER holds problems as `exactness_peers.py` writes them, NAME.npz; each is answered by NAME.samples.npz with the
members of every method, and facts.json has seconds, calls and, where a method fails, its error. The prior's denoiser is
exact, in float64, differentiated by autograd as azula does with a network; the start is an exact draw of the prior at
the largest noise level. Denoisers that azula guides (mmps, tmpd, jfps, diffpir) and tds run on the same noise levels as
ours, DDPM steps, the denoised state at the last level being the member; samplers that azula states for
variance-preserving noise (dps, pgdm) on its VPSchedule with alpha_min = 1 / sigma_max and as many steps. All other
settings are azula's defaults, but for those in a method's name: `-solved` lets the linear solver converge, where the
default is one iteration.
"""

import json
import math
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import azula
import numpy as np
import torch
from azula import guidance
from azula.denoise import Denoiser, DiracPosterior
from azula.linalg.covariance import Covariance, DiagonalCovariance, DPLRCovariance
from azula.noise import Schedule, VPSchedule
from azula.sample import DDPMSampler
from peer_prior import Prior
from torch import Tensor

# As many iterations as sensors solve a system. Of 205 point sensors 32 leave 1.3 % of the correction at the largest
# noise of grf-64x64, and less than 0.1 % below sigma = 8.
SOLVED = 32


class Rotated(Covariance):
    """B^T C B for one of azula's covariances C.

    Arguments:
        inner: C.
        prior: gives B.
    """

    def __init__(self, inner: Covariance, prior: Prior):
        self.inner, self.prior = inner, prior

    @property
    def shape(self):
        """(d,)."""
        return self.inner.shape

    def __add__(self, other: Covariance) -> Covariance:
        return Rotated(self.inner + other, self.prior)

    def __mul__(self, other: Covariance) -> Covariance:
        return Rotated(self.inner * other, self.prior)

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.prior.back(self.inner(self.prior.into(x)))

    def color(self, x: Tensor) -> Tensor:
        """White noise to a draw, with shape (N, d)."""
        return self.prior.back(self.inner.color(self.prior.into(x)))

    @property
    def inv(self) -> Covariance:
        """B^T C^{-1} B."""
        return Rotated(self.inner.inv, self.prior)

    def logdet(self) -> Tensor:
        """log det C, of shape ()."""
        return self.inner.logdet()


class ClosedForm(Denoiser):
    """The exact denoiser as azula takes one; counts the passes, forward and backward.

    Arguments:
        prior: its law.
        schedule: alpha and sigma of a time.
    """

    def __init__(self, prior: Prior, schedule: Schedule):
        super().__init__()
        self.prior, self.schedule, self.passes = prior, schedule, 0

    def forward(self, x_t: Tensor, t: Tensor, **kwargs) -> DiracPosterior:
        """E[x | x_t], with the shape (N, d) of x_t."""
        alpha, sigma = self.schedule(t)
        x = x_t / alpha
        self.count()
        if x.requires_grad:
            x.register_hook(self.count)
        return DiracPosterior(mean=self.prior.mean(x, sigma / alpha))

    def count(self, _=None) -> None:
        """One pass more."""
        self.passes += 1


class Levels(Schedule):
    """The noise levels themselves: sigma_i at the time 1 - i / n, alpha = 1.

    Arguments:
        sigmas: n + 1 levels, the last being 0, with shape (n + 1,).
    """

    def __init__(self, sigmas: Tensor):
        self.sigmas = sigmas

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma = self.sigmas[((1 - t) * (len(self.sigmas) - 1)).round().long()]
        return torch.ones_like(sigma), sigma


@dataclass
class Case:
    """One problem: a prior, the observation y = A x + std z, and the noise levels.

    Arguments:
        prior: of x.
        matrix: A, with shape (m, d).
        y, std: with shape (m,).
        sigmas: with shape (steps + 1,).
        members: number of draws.
    """

    prior: Prior
    matrix: Tensor
    y: Tensor
    std: Tensor
    sigmas: Tensor
    members: int

    def __post_init__(self):
        self.sparse = bool(((self.matrix != 0).sum(1) == 1).all())
        self.place = self.matrix.abs().argmax(1)
        self.weight = self.matrix.gather(1, self.place[:, None])[:, 0]
        self.timing = {"steps": len(self.sigmas) - 1, "silent": True, "dtype": torch.float64}
        self.solved = min(len(self.y), SOLVED)

    def observe(self, x: Tensor) -> Tensor:
        """A x, of shape (N, d) -> (N, m)."""
        return x[..., self.place] * self.weight if self.sparse else x @ self.matrix.T

    def ve(self) -> ClosedForm:
        """The denoiser on the given levels."""
        return ClosedForm(self.prior, Levels(self.sigmas))

    def vp(self) -> ClosedForm:
        """The denoiser on azula's variance-preserving schedule of the same range."""
        return ClosedForm(self.prior, VPSchedule(alpha_min=1 / float(self.sigmas[0])))

    def guided(self, kind: type, **settings) -> tuple:
        """DDPM steps of a guided denoiser, and the denoiser in it."""
        inner = self.ve()
        return DDPMSampler(kind(inner, self.y, self.observe, **settings), **self.timing), inner

    def sampled(self, kind: type, inner: ClosedForm, *settings, **named) -> tuple:
        """A sampler that carries the data itself, and its denoiser."""
        return kind(inner, *settings, **named, **self.timing), inner


def dps(case: Case, zeta: float) -> tuple:
    """azula's DPS: one norm of the residual over the whole batch."""
    return case.sampled(guidance.DPSSampler, case.vp(), case.y, case.observe, zeta=zeta)


def pgdm(case: Case) -> tuple:
    """azula's PGDM, which does not take the noise of the data."""
    inverse = torch.linalg.pinv(case.matrix)
    return case.sampled(guidance.PGDMSampler, case.vp(), case.y, case.observe, lambda y: y @ inverse.T)


def tds(case: Case) -> tuple:
    """azula's TDS with the twist N(y; A D, R + r A A^T), r = sigma^2 v / (sigma^2 + v), v the prior's mean variance."""
    gram, noise, v = case.matrix @ case.matrix.T, torch.diag(case.std**2), case.prior.coordinate_variance()

    def twist(x_hat: Tensor, sigma: Tensor) -> Tensor:
        r = sigma**2 * v / (sigma**2 + v)
        law = torch.distributions.MultivariateNormal(case.y, noise + r * gram)
        return law.log_prob(case.observe(x_hat))

    return case.sampled(guidance.TDSSampler, case.ve(), twist)


def mmps(case: Case, **solver) -> tuple:
    """azula's moment matching."""
    return case.guided(guidance.MMPSDenoiser, cov_y=DiagonalCovariance(case.std**2), **solver)


def jfps(case: Case, **solver) -> tuple:
    """azula's Jacobian-free variant with the exact covariance of the prior."""
    prior = Rotated(DPLRCovariance(*case.prior.factors()), case.prior)
    return case.guided(guidance.JFPSDenoiser, cov_y=DiagonalCovariance(case.std**2), cov_x=prior, **solver)


METHODS = {
    "azula-mmps": mmps,
    "azula-mmps-solved": lambda case: mmps(case, solver="cg", iterations=case.solved),
    "azula-dps-1": lambda case: dps(case, 1.0),
    "azula-dps-0.3-each": lambda case: dps(case, 0.3 * math.sqrt(case.members)),
    "azula-pgdm": pgdm,
    "azula-tmpd": lambda case: case.guided(guidance.TMPDenoiser, var_y=case.std**2),
    "azula-tds": tds,
    "azula-jfps": jfps,
    "azula-jfps-solved": lambda case: jfps(case, iterations=case.solved),
    "azula-diffpir": lambda case: case.guided(guidance.DiffPIRDenoiser, var_y=case.std**2),
    "azula-diffpir-solved": lambda case: case.guided(
        guidance.DiffPIRDenoiser, var_y=case.std**2, solver="cg", iterations=case.solved
    ),
}


def load(path: Path) -> tuple[Case, int, list[str]]:
    """A problem, its seed and the methods asked for."""
    data = np.load(path)
    names = ("log_weights", "means", "variances", "matrix", "basis", "y", "std", "sigmas")
    a = {name: torch.from_numpy(data[name]) for name in names}
    prior = Prior(a["log_weights"], a["means"], a["variances"], data["event"].tolist(), int(data["axes"]), a["basis"])
    case = Case(prior, a["matrix"], a["y"], a["std"], a["sigmas"], int(data["members"]))
    return case, int(data["seed"]), data["methods"].tolist() or list(METHODS)


def draw(case: Case, method: str, seed: int) -> tuple[Tensor, dict]:
    """Members (K, d) of one method, and what they cost; azula draws from torch's global stream, so that is seeded."""
    torch.manual_seed(seed)
    begun = time.perf_counter()
    sampler, inner = METHODS[method](case)
    alpha, sigma = inner.schedule(torch.ones((), dtype=torch.float64))
    start = alpha * case.prior.draw(case.members)
    x = sampler(start + sigma * torch.randn_like(start))
    return x, {"seconds": time.perf_counter() - begun, "network_calls": inner.passes}


def main() -> None:
    """Answers every problem of the folder."""
    folder, facts = Path(sys.argv[1]), []
    for path in sorted(folder.glob("*.npz")):
        case, seed, methods = load(path)
        if not facts:
            with suppress(Exception):  # what is loaded on first use is no method's time
                draw(replace(case, members=2), "azula-mmps", seed)
        samples = {}
        for method in methods:
            row = {"problem": path.stem, "method": method}
            try:
                x, found = draw(case, method, seed)
                samples[method] = x.numpy()
            except Exception as error:  # a peer's failure is a row of the table, whatever its kind
                found = {"error": f"{type(error).__name__}: {error}"}
            facts.append(row | found)
        np.savez(path.with_suffix(".samples"), **samples)
    version = getattr(azula, "__version__", "unknown")
    (folder / "facts.json").write_text(json.dumps({"versions": {"azula": version}, "rows": facts}))


if __name__ == "__main__":
    main()
