"""Fields with hidden bumps under 205 sensors: weighted ensembles against the exact posterior of a 64-mode mixture.

    python benchmarks/exactness_grfmix.py [--quick] [--seed SEED]

grfmix-64x64: the field of grf-64x64 plus six bumps of sign +-4, exp(-r^2 / 36), r in cells, and 205 sensors of std 1 at
least 7 cells from every centre: they see the rims, and guidance without weights goes wrong. grfmix-64x64-faint: bumps
exp(-r^2 / 18), that the sensors hardly see. 64 members. Methods: gs-smc with q = 8 directions (the
six between the modes are found) and with q = 0, weighted, and the same proposals with equal weights; as many exact
draws. crps_ratio: expected fair CRPS under the exact marginals, over that of exact draws (every second cell of each
axis); mode_error: mean over the bumps of |P(sign) of the ensemble - exact|; *_gain: how much lower it is weighted than
unweighted, mean over the problems with a 95 % interval of the paired difference. Also grf-64x64 with a surrogate that
is wrong by +-50 % in every Fourier mode, where weights are hopeless and block moves are not.
"""

import math
import time
import warnings

import common
import exactness
import torch
from analytic import F64, FAINT, WIDE, FieldMixturePosterior, Problem, grf, grfmix, grfmix_prior
from common import Report
from torch import Tensor

from sciml_diffusion.denoisers.covariance import Covariance
from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.inverse.base import PosteriorMethod
from sciml_diffusion.inverse.block_moves import BlockMoves
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.samplers.streams import MemberStreams

MEMBERS, EXACT = 64, 20
BEDS = {"grfmix-64x64": WIDE, "grfmix-64x64-faint": FAINT}
STUDENT = {4: 3.182, 5: 2.776, 20: 2.093}  # 97.5 % points of Student's t for so many problems


def mean_distance(shift: Tensor, std: Tensor) -> Tensor:
    """E|shift + std z| for standard normal z, elementwise; both broadcast."""
    z = shift / std
    return std * (math.sqrt(2 / math.pi) * torch.exp(-0.5 * z**2) + z * (2 * torch.special.ndtr(z) - 1))


def crps(x: Tensor, weights: Tensor, posterior: FieldMixturePosterior) -> float:
    """Expected fair CRPS under the exact marginals sum_k w_k N(mu_k, s^2): mean over every second cell of each axis.

    Arguments:
        x: members, with shape (K, 1, n, n).
        weights: normalised, with shape (K,).
        posterior: exact.
    """
    x, s, w = _thin(x), _thin(posterior.std()[None])[0], weights.to(F64)
    modes = zip(posterior.weights, _thin(posterior.means), strict=True)
    distance = sum(p * mean_distance(x - mode, s) for p, mode in modes if p > 1e-9)
    pairs = sum(w[k] * (w @ (x - x[k]).abs()) for k in range(len(x)))
    return float((w @ distance - 0.5 / (1 - (w**2).sum()) * pairs).mean())


def exact_crps(posterior: FieldMixturePosterior) -> float:
    """The same for exact draws: half the expected distance of two draws."""
    means, s, p = _thin(posterior.means), _thin(posterior.std()[None])[0] * math.sqrt(2), posterior.weights
    return 0.5 * float(sum(p[k] * (p @ mean_distance(means - means[k], s)) for k in range(len(p))).mean())


def scores(x: Tensor, weights: Tensor, posterior: FieldMixturePosterior, limit: float) -> dict[str, float]:
    """crps_ratio, mode_error, and the error of the mean in units of the exact spread (z_rms).

    Arguments: as for `crps`; `limit` is `exact_crps` of the posterior.
    """
    positive = (grfmix_prior()[1] > 0).to(F64)
    exact = posterior.weights @ positive
    mean = torch.einsum("k,k...->...", posterior.weights, posterior.means)
    spread = torch.einsum("k,k...->...", posterior.weights, (posterior.means - mean) ** 2) + posterior.std() ** 2
    z = (torch.einsum("k,k...->...", weights, x) - mean) / spread.sqrt()
    return {
        "crps_ratio": crps(x, weights, posterior) / limit,
        "mode_error": float((weights @ (posterior.modes(x) @ positive) - exact).abs().mean()),
        "z_rms": float((z**2).mean().sqrt()),
    }


def sampled(method: PosteriorMethod, problem: Problem, seed: int) -> tuple[WeightedEnsemble, dict]:
    """One ensemble, and what it cost and says of itself."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row
        streams = MemberStreams(seed, [0], range(MEMBERS), F64)
        ensemble = method.sample(problem.denoiser, problem.observation, streams)
    seconds, found = time.perf_counter() - begun, ensemble.diagnostics
    facts = {"ess": float(ensemble.ess[0]), "network_calls": found["network_calls"], "seconds": seconds}
    if "roots" in found:
        facts |= {k: float(found[k][0]) for k in ("roots", "family_ess", "resamplings")}
        facts["log_evidence_error"] = abs(float(found["log_evidence"][0]) - problem.posterior.log_evidence)
    return ensemble, facts


def pair(problem: Problem, limit: float, steps: int, rank: int, seed: int) -> tuple[dict, dict]:
    """Scores of gs-smc, weighted, and of its proposal with equal weights: the same paths if none was resampled."""
    flat = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
    sigmas = problem.sigmas(steps)
    ensemble, facts = sampled(GaussianSurrogateSMC(sigmas, rank=rank), problem, seed)
    weighted = scores(ensemble.x[0], ensemble.weights[0], problem.posterior, limit) | facts
    plain, cost = ensemble, facts
    if facts["resamplings"]:
        plain, cost = sampled(GaussianSurrogateSMC(sigmas, trigger=0.0, rank=rank), problem, seed)
    kept = {k: cost[k] for k in ("network_calls", "seconds")}
    return weighted, scores(plain.x[0], flat, problem.posterior, limit) | kept


def bed(report: Report, case: str, problems: int, steps: int, ranks: tuple[int, ...], seed: int) -> None:
    """Rows of one bed, pooled over its problems."""
    made = [grfmix(n, radius=BEDS[case]) for n in range(problems)]
    limits = [exact_crps(problem.posterior) for problem in made]
    head = {"case": case, "problems": problems, "members": MEMBERS}
    flat = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
    exact = []
    for n, (problem, limit) in enumerate(zip(made, limits, strict=True)):
        g = torch.Generator().manual_seed(100 + n)
        exact += [
            scores(problem.posterior.draw(MEMBERS, g), flat, problem.posterior, limit) for _ in range(EXACT // 10)
        ]
    report.add(**head, method="exact", **_mean(exact))
    for rank in ranks:
        pairs = [pair(p, c, steps, rank, seed + 50 + n) for n, (p, c) in enumerate(zip(made, limits, strict=True))]
        weighted, plain = ([row[side] for row in pairs] for side in (0, 1))
        row = head | {"steps": steps, "rank": rank}
        worst = {"log_evidence_worst": max(r["log_evidence_error"] for r in weighted)}
        worst["family_ess_least"] = min(r["family_ess"] for r in weighted)
        gains = _gain(plain, weighted, "mode_error") | _gain(plain, weighted, "crps_ratio")
        report.add(**row, method="gs-smc", weighted=True, **_mean(weighted), **worst, **gains)
        report.add(**row, method="gs-smc unweighted", weighted=False, **_mean(plain))


def wrong_surrogate(report: Report, quick: bool, seed: int) -> None:
    """grf-64x64 with the surrogate's variance times 1.5 or 0.5 at random in each Fourier mode (right at infinity)."""
    problem, steps, sweeps = grf(2, 0), 12, 2 if quick else 6
    denoiser, std = problem.denoiser, problem.posterior.stationary_std()
    g = torch.Generator().manual_seed(5)
    factor = torch.where(torch.randn(denoiser.variance.shape, generator=g, dtype=F64) > 0, 1.5, 0.5)
    exact = denoiser.surrogate
    denoiser.surrogate = lambda sigma: (
        exact(sigma) if torch.isinf(sigma) else Covariance(denoiser.basis, factor * exact(sigma).variance)
    )
    sigmas, flat = problem.sigmas(steps), torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
    head = {"case": "grf-64x64-wrong-surrogate", "members": MEMBERS, "steps": steps}
    for name, method in {
        "gs-smc": GaussianSurrogateSMC(sigmas),
        "gs-smc unweighted": GaussianSurrogateSMC(sigmas, trigger=0.0),
        "block-moves": BlockMoves(sigmas, sweeps=sweeps),
    }.items():
        ensemble, facts = sampled(method, problem, seed + 50)
        weights = flat if name == "gs-smc unweighted" else ensemble.weights[0]
        found = {k: float(v[0]) for k, v in ensemble.diagnostics.items() if k in ("acceptance", "log_weight_variance")}
        score = exactness.field_scores(ensemble.x[0], weights, problem.posterior, std)
        report.add(
            **head, method=name, **score, **found, network_calls=facts["network_calls"], seconds=facts["seconds"]
        )


def rows(report: Report, quick: bool, seed: int) -> None:
    """All rows: 20 problems of each bed with 25 steps, 5 of the first with 100; or 4."""
    if quick:
        bed(report, "grfmix-64x64", 4, 25, (8, 0), seed)
    else:
        bed(report, "grfmix-64x64", 20, 25, (8, 0), seed)
        bed(report, "grfmix-64x64", 5, 100, (8,), seed)
        bed(report, "grfmix-64x64-faint", 20, 25, (8,), seed)
    wrong_surrogate(report, quick, seed)


def _thin(x: Tensor) -> Tensor:
    return x.to(F64)[..., ::2, ::2].flatten(1)


def _mean(found: list[dict]) -> dict:
    return {k: sum(row[k] for row in found) / len(found) for k in found[0]}


def _gain(plain: list[dict], weighted: list[dict], key: str) -> dict[str, float]:
    """Mean of the paired difference, unweighted less weighted, with its 95 % interval."""
    d = torch.tensor([a[key] - b[key] for a, b in zip(plain, weighted, strict=True)], dtype=F64)
    half = STUDENT[len(d)] * float(d.std()) / len(d) ** 0.5
    middle = float(d.mean())
    return {f"{key}_gain": middle, f"{key}_gain_low": middle - half, f"{key}_gain_high": middle + half}


def main() -> None:
    """Runs all rows and writes the report."""
    given = common.parser(__doc__.split("\n")[0]).parse_args()
    report = Report("exactness_grfmix", given.quick, given.seed)
    rows(report, given.quick, given.seed)
    report.write()


if __name__ == "__main__":
    main()
