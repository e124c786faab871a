"""Does a verdict tell when sensors or the model are wrong? Biased sensors, understated noise, a wrong viscosity.

    python benchmarks/misspecification.py [--quick] [--seed SEED]

`era5-*`: Britain's temperature, prior `era5-uk-t2m`, 16 stations at random places with noise of 0.1 K, on days that the
prior has not seen (25 to 31 March): the whole week (`era5-week`) or single days (`era5-day`). Data sets differ by
stations and noise. `bias`: one station reads 1 K too high; `noise`: all noise is three times what is stated. What is
usual is what the same stations would have seen on the days that the prior was trained on; `false_alarms_closed_form`
takes the prior's own law for that instead, which real weather does not have. `burgers`: five sensors at all 64 times
with noise of 1 % of the field's standard deviation, prior `burgers` (viscosity 0.01); held-out trajectories of that
viscosity, of three times it (`viscosity x 3`) and a third (`viscosity / 3`); what is usual is simulated from the prior.

Rows: `auc` of the test that speaks of the fault, data sets with it against those without (`auc_all_tests`: of the
verdict's score); `detection` where 5 % of those without raise an alarm; `false_alarms` and `alarms` of verdicts at
p < 0.05; `named`: the share of faults whose words name the cause.
"""

import time
import warnings

import numpy as np
import torch
from burgers_reconstruction import SENSORS
from common import Report, parser

import sciml_diffusion as sd
from sciml_diffusion.data.container import grid_of
from sciml_diffusion.evaluate.verdict import Layout, Verdict, examine
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.refit import residual, simulated
from sciml_diffusion.observations.innovations import Innovations
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.sensors import point_operator
from sciml_diffusion.observations.simulate import simulate
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SEEN = "2019-03-24T23"  # the last hour of the training days
BIAS, FACTOR, NOISE, STATIONS = 1.0, 3.0, 0.1, 16
WORDS = {"bias": "reads", "noise": "their std were", "residual": "no field of this prior"}  # of a good verdict
TEST, NU = 1_000_000, 0.01
STEPS, MEMBERS, ROUGH = 16, 1, 0.01


def auc(usual: np.ndarray, wrong: np.ndarray) -> float:
    """Chance that a faulty data set scores above a sound one."""
    return float(((wrong[:, None] > usual) + 0.5 * (wrong[:, None] == usual)).mean())


def row(report: Report, case: str, found: dict[str, list[Verdict]], kind: str, test: str, **more) -> None:
    """One fault against the sound data sets of the same case.

    Arguments:
        found: verdicts by kind; "sound" among them.
        kind: of the fault. test: the one that speaks of it.
    """
    usual, wrong = (np.array([v.tests[test]["statistic"] for v in found[k]]) for k in ("sound", kind))
    both = [np.array([v.score for v in found[k]]) for k in ("sound", kind)]
    report.add(
        case=case,
        method=kind,
        auc=auc(usual, wrong),
        detection=float((wrong > np.quantile(usual, 0.95)).mean()),
        auc_all_tests=auc(*both),
        false_alarms=float(np.mean([v.contradicts for v in found["sound"]])),
        alarms=float(np.mean([v.contradicts for v in found[kind]])),
        named=float(np.mean([WORDS[test] in v.words for v in found[kind]])),
        sets=len(wrong),
        **more,
    )


def era5(report: Report, days: int, seeds: int, seed: int) -> None:
    """Biased and noisy stations on days that the prior has not seen."""
    began, prior, fields = time.perf_counter(), sd.load_prior("era5-uk-t2m"), sd.open_dataset("era5-uk-t2m")
    seen, unseen = fields.sel(time=slice(None, SEEN)), fields.sel(time=slice(SEEN, None)).isel(time=slice(1, None))
    found: dict[str, list[Verdict]] = {"sound": [], "bias": [], "noise": []}
    closed = []
    for draw in range(seeds):
        for first in range(0, 7, days):
            part = unseen.isel(time=slice(24 * first, 24 * (first + days)))
            obs = sd.observe(part, stations=STATIONS, std=NOISE, seed=seed + draw)
            biased, noisy = obs.copy(deep=True), obs.copy(deep=True)
            station = np.unique(obs["station"].values)[draw % STATIONS]
            biased["value"] = obs["value"] + BIAS * (obs["station"] == station)
            noisy["value"] = obs["truth"] + FACTOR * (obs["value"] - obs["truth"])
            for kind, table in (("sound", obs), ("bias", biased), ("noise", noisy)):
                found[kind].append(sd.verdict(prior, table, replicates=99, reference=seen, seed=draw))
            closed.append(sd.verdict(prior, obs, replicates=99, seed=draw).contradicts)
    case = "era5-week" if days == 7 else "era5-day"
    more = {"false_alarms_closed_form": float(np.mean(closed)), "seconds": round(time.perf_counter() - began, 1)}
    row(report, case, found, "bias", "bias", **more)
    row(report, case, found, "noise", "noise", **more)


def burgers(report: Report, count: int, refits: int, seed: int) -> None:
    """Sensors in trajectories of another viscosity than the prior's."""
    began, prior = time.perf_counter(), sd.load_prior("burgers")
    sigmas = karras_sigmas(STEPS, *prior.sigma_range)
    kinds = {"sound": NU, "viscosity x 3": 3 * NU, "viscosity / 3": NU / 3}
    data = {kind: _burgers(count, nu, seed) for kind, nu in kinds.items()}
    law = data["sound"]
    drawn = simulated(prior, law, prior.codec, sigmas, refits, seed)
    data |= {"simulated": Observation(law.operator, drawn, law.std)}
    deviances, seconds = {}, {}
    for kind, one in data.items():
        deviances[kind] = residual(prior, one, [prior.codec] * len(one.y), MMPS(sigmas), MEMBERS, seed)
        seconds[kind] = round(time.perf_counter() - began, 1)
        print(f"  {kind}: deviance {float(deviances[kind].median()):.2f}, {seconds[kind]} s", flush=True)
    infinity = torch.tensor(torch.inf, dtype=prior.dtype)
    mean, covariance = prior.denoiser.prior_mean(), prior.denoiser.surrogate(infinity)
    laws = {kind: Innovations(_inside(prior, one), mean, covariance) for kind, one in data.items()}
    stations, times = tuple("abcde") * 64, torch.arange(320) // 5
    found = {}
    for kind in kinds:
        found[kind] = []
        for i in range(count):
            one = Innovations(_inside(prior, data[kind].select(slice(i, i + 1))), mean, covariance)
            layout = Layout(one, stations, times, laws["simulated"].w[:, None])
            fitted = (deviances[kind][i : i + 1], deviances["simulated"])
            found[kind].append(examine([layout], residual=fitted))
    for kind in list(kinds)[1:]:
        row(report, "burgers", found, kind, "residual", refits=refits, seconds=seconds["simulated"])


def _burgers(count: int, nu: float, seed: int) -> Observation:
    """What five sensors report of trajectories of one viscosity, all from the same initial states."""
    fields = sd.generate("burgers", samples=count, seed=TEST + seed, nu=nu)
    table = simulate(fields.isel(sample=0), SENSORS, 1.0, 0)
    operator = point_operator(grid_of(fields), ["u"], fields.time.values, table)
    u = torch.from_numpy(fields.u.values[:, None]).double()
    std = torch.full((operator.m,), ROUGH * float(u.std()), dtype=torch.float64)
    noise = MemberStreams(seed, range(count), [0], torch.float64).normal((operator.m,))
    return Observation(operator, operator(u) + std * noise, std)


def _inside(prior, observation: Observation) -> Observation:
    """The same data in the prior's diffusion space."""
    return observation.to(prior.dtype, prior.device).through([prior.codec] * len(observation.y))


def main() -> None:
    """Runs all cases and writes the report."""
    options = parser(__doc__.splitlines()[0]).parse_args()
    report = Report("misspecification", options.quick, options.seed)
    warnings.simplefilter("ignore")
    era5(report, 7, 3 if options.quick else 24, options.seed)
    era5(report, 1, 1 if options.quick else 3, options.seed)
    burgers(report, *((3, 5) if options.quick else (16, 24)), options.seed)
    report.write()


if __name__ == "__main__":
    main()
