"""The method that fits a problem, chosen by rules that can be read, with the reason in words."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .enkg import EnKG
from .latent_readings import LatentReadings, suits
from .low_rank_smc import GaussianSurrogateSMC
from .mmps import MMPS
from .smc import MomentMatchedSMC

PARTICLES = 128  # of a window, at least, where weights decide between modes
POOL = 4  # particles for each member, at least, there
PRODUCTS = 4  # with the denoiser's derivative in a step of MMPS
TRIGGER = 0.25  # share of the particles below which a pool is resampled
RANK = 8  # directions of a member's own covariance
LEAST, SHARE, MOST = 4.0, 0.1, 16.0  # families that must carry weight: a share of the members between these numbers


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Arguments:
        bends: the operator is not linear, or the noise not Gaussian.
        black_box: the operator cannot be differentiated.
        sensors: numbers observed of a window, m.
        members: K.
        prior: "nearly linear" (states a covariance of x | x_t that hardly depends on x_t: Gaussians and networks near
            one), "far from linear" (states one that does), "mixture" (states the covariance within its modes and what
            lies between them), or "implicit" (states none).
        limited: some sensors only say "at or beyond a limit", and `latent_readings.suits`.
    """

    bends: bool
    black_box: bool
    sensors: int
    members: int
    prior: str
    limited: bool = False


@dataclass(frozen=True)
class Candidate:
    """A method that would do, what it costs, and why it would do.

    Arguments:
        name: as in configs/posterior.
        method: ready to run.
        cost: passes through the network for each member and step.
        why: half a sentence.
    """

    name: str
    method: PosteriorMethod
    cost: float
    why: str


class Auto(PosteriorMethod):
    """Picks a method by the problem, runs it, and says which and why: diagnostics `method`, `reason`, one per window.

    The rules are those of `candidates`. Where a weighted method is chosen and fewer than K / 10 families (at least 4,
    at most 16; K / 2 for fewer than 8 members) carry the weight of a window in the end, that window is done again
    without weights, once.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        few: so many sensors, at most, are few: as many backward passes for each step are worth exact weights.
        evidence: whether the log-evidence is wanted where it costs no further network calls.
        budget: most passes through the network for each member, over all steps; None for no bound. The best method
            within it is taken, or the cheapest where none is.

    Raises:
        ValueError: a negative number of few sensors, or a budget that is not positive.
    """

    needs = "forward"

    def __init__(self, sigmas: Tensor, few: int = 8, evidence: bool = False, budget: float | None = None):
        super().__init__(sigmas)
        if few < 0 or (budget is not None and budget <= 0):
            raise ValueError(f"few must be >= 0 and the budget > 0; got {few} and {budget}")
        self.few, self.evidence, self.budget = few, evidence, budget

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor | None, dict]:
        """Members of shape (B K, *event), log-weights (B, K) or None, diagnostics of the method and its name."""
        windows, members = len(observation.y), len(streams.members)
        facts = look(denoiser, observation, members)
        best = self.chosen(facts)
        x, log_weights, diagnostics = best.method.run(denoiser, observation, streams, callback)
        names, reasons = [best.name] * windows, [best.why] * windows
        if log_weights is not None:
            lost = collapsed(diagnostics["family_ess"], members)
            if lost:
                spare = unweighted(self.sigmas, facts)
                again = replace(observation, y=observation.y[lost])
                part = run_part(spare.method, denoiser, again, streams, lost)
                x, log_weights, diagnostics = patched(x, log_weights, diagnostics, part, lost)
                for window in lost:
                    names[window] = spare.name
                    reasons[window] = f"the weights of {best.name} collapsed ({best.why}); {spare.why}"
        return x, log_weights, diagnostics | {"method": tuple(names), "reason": tuple(reasons)}

    def chosen(self, facts: Facts) -> Candidate:
        """The first candidate within the budget, else the cheapest."""
        found = candidates(self.sigmas, facts, self.few, self.evidence)
        if self.budget is None:
            return found[0]
        steps = len(self.sigmas) - 1
        for one in found:
            if one.cost * steps <= self.budget:
                return one
        cheapest = min(found, key=lambda one: one.cost)
        return replace(
            cheapest, why=f"{cheapest.why}; nothing fits a budget of {self.budget:g} calls, this is cheapest"
        )


def look(denoiser: Denoiser, observation: Observation, members: int) -> Facts:
    """The facts of a problem; nothing is run."""
    operator = observation.operator
    one = torch.ones((), dtype=observation.y.dtype, device=observation.y.device)
    stated = denoiser.surrogate(one) is not None and denoiser.prior_mean() is not None
    if stated:
        prior = "nearly linear" if denoiser.nearly_linear else "far from linear"
    else:
        mixture = denoiser.within(one) is not None and denoiser.between() is not None
        prior = "mixture" if mixture else "implicit"
    bends, limited = not observation.linear_gaussian, suits(denoiser, observation)
    return Facts(bends, not operator.differentiable, operator.m, members, prior, limited)


def candidates(sigmas: Tensor, facts: Facts, few: int = 8, evidence: bool = False) -> list[Candidate]:
    """Methods for a problem, the best first; the rules, with what was measured for them (benchmarks/).

    | data              | prior           | sensors | method                                                       |
    | a black box       | any             | any     | enkg: evaluates A alone                                      |
    | linear, limits    | nearly linear   | any     | latent-readings: exact for a Gaussian                        |
    | bend              | any             | any     | mmps: Gauss-Newton in each step                              |
    | linear, Gaussian  | nearly linear   | any     | mmps with the shared covariance: exact for a Gaussian;       |
    |                   |                 |         | gs-smc of rank 0 where evidence is wanted, at the same cost  |
    | linear, Gaussian  | mixture         | any     | gs-smc with directions between the modes; pooled where few:  |
    |                   |                 |         | error of exact draws and less, mmps 7 to 14 times that       |
    | linear, Gaussian  | implicit        | few     | smc by matched moments, pooled                               |
    | linear, Gaussian  | any other       | any     | mmps with the network's own derivative; weights collapse     |

    Arguments:
        sigmas: noise grid, with shape (n + 1,).
        facts: of the problem. few, evidence: see `Auto`.
    """
    many = f"{facts.sensors} sensors"
    if facts.black_box:
        return [Candidate("enkg", EnKG(sigmas), 1, "the operator is a black box: members tell each other how it bends")]
    if facts.limited:
        why = "some sensors stop at limits and the prior is nearly Gaussian: what they would have read is drawn exactly"
        return [Candidate("latent-readings", LatentReadings(sigmas), 1, why)]
    if facts.bends:
        why = "the data are not linear and Gaussian: each step solves for the most probable field"
        return [plain(sigmas, facts, why)]
    if facts.prior == "nearly linear":
        shared = "the prior is nearly Gaussian: one covariance serves all members"
        exact = Candidate("mmps", MMPS(sigmas), 1, f"{shared}, and no weights are needed")
        smc = Candidate("gs-smc", GaussianSurrogateSMC(sigmas), 1, f"{shared}, and gives the evidence at no cost")
        return [smc, exact] if evidence else [exact]
    spare = unweighted(sigmas, facts)
    if facts.prior != "far from linear" and facts.sensors <= few:
        return [*pooled(sigmas, facts), spare]
    if facts.prior == "mixture":
        why = f"the prior has modes and there are {many}: weights choose between modes, directions between them guide"
        smc = GaussianSurrogateSMC(sigmas, rank=RANK)
        return [Candidate("gs-smc", smc, 1 + RANK, why), spare]
    return [spare]


def pooled(sigmas: Tensor, facts: Facts) -> list[Candidate]:
    """Twisted SMC with many particles for each member, and with one; sigmas of shape (n + 1,)."""
    why = f"only {facts.sensors} sensors and a prior of many modes: weights choose between them exactly"
    name, kind, passes = "smc", MomentMatchedSMC, facts.sensors
    if facts.prior == "mixture":
        name, kind, passes = "gs-smc", partial(GaussianSurrogateSMC, trigger=TRIGGER, rank=RANK), RANK
    found = []
    for pool in (max(POOL, -(-PARTICLES // facts.members)), 1):
        words = f"{why} ({pool} particles for each member)"
        found.append(Candidate(name, kind(sigmas, pool=pool), pool * (1 + passes), words))
    return found


def unweighted(sigmas: Tensor, facts: Facts) -> Candidate:
    """MMPS for linear data, with the network's derivative where no covariance is stated; sigmas of shape (n + 1,)."""
    if facts.prior == "nearly linear":
        return Candidate("mmps", MMPS(sigmas), 1, "moments are matched without weights")
    return plain(sigmas, facts, "moments are matched with the network's own derivative, without weights")


def plain(sigmas: Tensor, facts: Facts, why: str) -> Candidate:
    """MMPS as it comes, by a nearly linear prior's covariance or the derivative; sigmas of shape (n + 1,)."""
    cost = 1 if facts.prior == "nearly linear" else 2 + PRODUCTS
    return Candidate("mmps", MMPS(sigmas, iterations=PRODUCTS), cost, why)


def collapsed(family_ess: Tensor, members: int) -> list[int]:
    """Windows in which too few families carry the weight; family_ess of shape (B,)."""
    least = min(max(min(LEAST, members / 2), SHARE * members), MOST)
    return [window for window, value in enumerate(family_ess.tolist()) if not value >= least]


def run_part(
    method: PosteriorMethod, denoiser: Denoiser, observation: Observation, streams: MemberStreams, windows: list[int]
) -> Tensor:
    """Members of some windows by a method without weights, from the beginning of their streams: (W K, *event)."""
    keys = [streams.observations[window] for window in windows]
    fresh = MemberStreams(streams.seed, keys, streams.members, streams.dtype, streams.device)
    return method.run(denoiser, observation, fresh, lambda done: None)[0]


def patched(
    x: Tensor, log_weights: Tensor, diagnostics: dict, part: Tensor, windows: list[int]
) -> tuple[Tensor, Tensor, dict]:
    """Members and weights with those of some windows replaced: equal weights, all members of their own root.

    Arguments:
        x: shape (B K, *event). log_weights: (B, K). part: (W K, *event). windows: W numbers.
    """
    members = log_weights.shape[1]
    x, log_weights, diagnostics = x.unflatten(0, (-1, members)).clone(), log_weights.clone(), dict(diagnostics)
    x[windows], log_weights[windows] = part.unflatten(0, (-1, members)), 0.0
    for name, value in (("family_ess", members), ("roots", members), ("log_evidence", torch.nan)):
        known = diagnostics[name].clone()
        known[windows] = value
        diagnostics[name] = known
    return x.flatten(0, 1), log_weights, diagnostics
