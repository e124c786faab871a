"""One ensemble on one problem of a bed, and what all beds share: methods by name, exact limits, intervals."""

import time
import warnings

import common  # noqa: F401  (finds the tests' closed forms)
import torch
from analytic import F64, Problem

from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.inverse.base import PosteriorMethod
from sciml_diffusion.leaves import leaf
from sciml_diffusion.samplers.streams import MemberStreams

EXACT = 20  # ensembles of exact draws that make the limit
RESAMPLED = 2000
VARIANTS = {  # a name of the catalogue with options of its own
    "mmps-jacobian": ("mmps", {"covariance": "jacobian"}),
    "dps-0.1": ("dps", {"zeta": 0.1}),
    "dps-0.3": ("dps", {"zeta": 0.3}),
    "dps-1": ("dps", {"zeta": 1.0}),
    "smc-pool-4": ("smc", {"pool": 4}),
    "gs-smc unweighted": ("gs-smc", {"trigger": 0.0}),
}


def make(name: str, sigmas: torch.Tensor) -> PosteriorMethod:
    """A shipped method by its name in the catalogue, or one of `VARIANTS`, on a noise grid of shape (n + 1,)."""
    name, options = VARIANTS.get(name, (name, {}))
    target, arguments = leaf("posterior", name, "posterior method", "", options, ("sigmas",))
    return target(sigmas, **arguments)


def run(
    name: str, problem: Problem, members: int, seed: int, steps: int, dtype: torch.dtype = F64
) -> tuple[WeightedEnsemble, dict]:
    """One ensemble for one problem, and what it cost and says of itself."""
    method, observation = make(name, problem.sigmas(steps)), problem.observation.to(dtype, "cpu")
    denoiser, streams = problem.denoiser.to(dtype), MemberStreams(seed, [0], range(members), dtype)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as roots and ess
        ensemble = method.sample(denoiser, observation, streams)
    seconds, found = time.perf_counter() - begun, ensemble.diagnostics
    facts = {"weighted": "log_evidence" in found, "seconds": seconds, "ess": float(ensemble.ess[0])}
    facts |= {key: found[key] for key in ("network_calls", "operator_calls")}
    if facts["weighted"]:
        facts |= {key: float(found[key][0]) for key in ("roots", "family_ess") if key in found}
        facts["log_evidence_error"] = abs(float(found["log_evidence"][0]) - problem.posterior.log_evidence)
    return ensemble, facts


def pooled(rows: list[dict]) -> dict:
    """Means over problems; of the errors of the log-evidence the largest."""
    worst = "log_evidence_error"
    return {k: max(r[k] for r in rows) if k == worst else _mean([r[k] for r in rows]) for k in rows[0]}


def interval(errors: list[float], limits: list[float]) -> dict[str, float]:
    """error_ratio = mean error over mean limit, and its 95 % interval over problems, drawn in pairs again and again."""
    e, limit = torch.tensor(errors, dtype=F64), torch.tensor(limits, dtype=F64)
    pick = torch.randint(len(e), (RESAMPLED, len(e)), generator=torch.Generator().manual_seed(0))
    ratios = (e[pick].mean(1) / limit[pick].mean(1)).sort().values
    low, high = ratios[int(0.025 * RESAMPLED)], ratios[int(0.975 * RESAMPLED) - 1]
    return {"error_ratio": float(e.mean() / limit.mean()), "ci_low": float(low), "ci_high": float(high)}


def _mean(values: list):
    return values[0] if isinstance(values[0], bool) else sum(values) / len(values)
