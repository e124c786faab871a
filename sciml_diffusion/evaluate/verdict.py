"""Do the data contradict the model? Tests on the innovations, calibrated together by simulation, and plain words."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..observations.innovations import SCALES, Innovations

ALARM = 0.05  # false alarms that are accepted
CAUSES = {  # test: what it means when it is the one that speaks
    "misfit": "the data as a whole lie farther from what the prior expects than {level} of data that fit it",
    "bias": "station {station} reads {bias:+.3g} +- {error:.2g} off what all others and the prior expect of it",
    "noise": "the sensors err as if their std were {noise:.2g} times what is stated",
    "amplitude": "the fields vary as if {amplitude:.2g} times as strongly as the prior's",
    "outlier": "one reading ({outlier}) lies {worst:.1f} standard deviations from what all others expect of it",
    "runs": "errors of a station last from one time to the next, more than the prior explains",
    "residual": "members of the posterior miss the data by {residual:.2f} times the noise's variance, where"
    " {usual:.2f} is usual: no field of this prior fits them",
}


@dataclass(frozen=True)
class Verdict:
    """Whether data contradict a model, and what in them does.

    Arguments:
        p: probability of data as strange as these under the model, all tests taken together; below 0.05: contradiction.
        score: the largest test, 0 where half of what is usual lies below it, 1 where 90 % do.
        tests: statistic and p-value of each test on its own, by name.
        words: the verdict, for people.
        stations: estimated bias, its error and z by station.
        noise, amplitude: log-evidence by scale of the noise's std and of the fields' amplitude, over that at 1.
        leave_one_out: PIT of every reading under the prior and all other readings, in no order: for their histogram.
    """

    p: float
    score: float
    tests: dict[str, dict[str, float]]
    words: str
    stations: dict[str, dict[str, float]] = field(default_factory=dict)
    noise: dict[float, float] = field(default_factory=dict)
    amplitude: dict[float, float] = field(default_factory=dict)
    leave_one_out: tuple[float, ...] = ()

    @property
    def contradicts(self) -> bool:
        """Whether p < 0.05."""
        return self.p < ALARM

    def __repr__(self) -> str:
        """The words, and the p-values."""
        tests = ", ".join(f"{name} {test['p']:.3g}" for name, test in self.tests.items())
        return f"{self.words}\n(p = {self.p:.3g}; by test: {tests})"


@dataclass(frozen=True)
class Layout:
    """Windows that the same sensors observed.

    Arguments:
        innovations: of the windows.
        stations: name of the station of each row, m of them.
        times: place in time of each row, with shape (m,); rows of one station at successive places make its runs.
        drawn: innovations of simulated data sets, with shape (N, windows, m); None to draw them from N(0, S).
    """

    innovations: Innovations
    stations: tuple[str, ...]
    times: Tensor
    drawn: Tensor | None = None


def examine(
    layouts: list[Layout],
    replicates: int = 999,
    seed: int = 0,
    residual: tuple[Tensor, Tensor] | None = None,
) -> Verdict:
    """The verdict on data sets of one or many windows, by the prior's mean and covariance.

    Tests: `misfit`, sum z^T S^{-1} z; `bias`, the largest z of a constant bias of one station; `noise` and `amplitude`,
    the gain in log-evidence of another size of the noise or of the fields; `outlier`, the largest leave-one-out z;
    `runs`, the correlation of a station's leave-one-out z at successive times; `residual`, how far the members of the
    posterior stay from the data. Each is ranked among replicates that are drawn from the model; the largest of them is
    ranked among the largest of the replicates, so that the whole gives a false alarm in 5 % of the cases whatever the
    tests have in common. Source of the last step: Westfall and Young, Resampling-Based Multiple Testing, 1993 (max T).

    Arguments:
        layouts: windows by what observed them; none where no data are linear with Gaussian noise.
        replicates: draws of the whole data set, where the layouts bring none; the smallest p is 1 / (replicates + 1).
        seed: of the draws.
        residual: misfit of the posterior of the data, shape (1,), and of that of each simulated data set, shape (N,).

    Raises:
        ValueError: nothing to examine.
    """
    if not layouts and residual is None:
        raise ValueError("nothing to examine: no data that are linear with Gaussian noise, and no residual")
    every, sums = {}, None
    if layouts:
        generator = torch.Generator().manual_seed(seed)
        sets = [torch.cat([one.innovations.w[None], _drawn(one, replicates, generator)]) for one in layouts]
        sums = _Sums(layouts, sets)
        every = sums.statistics()
    if residual is not None:
        every = every | {"residual": torch.cat(residual).to(next(iter(every.values()), residual[0]))}
    tests, p, score = ranked(every)
    facts = {} if sums is None else sums.facts()
    facts |= {} if residual is None else {"residual": float(residual[0]), "usual": float(residual[1].median())}
    rest = () if sums is None else (sums.biases(), *sums.evidence(), tuple(sums.pit()))
    return Verdict(p, score, tests, said(tests, p, facts), *rest)


def said(tests: dict[str, dict[str, float]], p: float, facts: dict) -> str:
    """The verdict in plain words.

    Arguments:
        tests: p-values by test. p: of all together. facts: what `CAUSES` speak of.
    """
    if p >= ALARM:
        return f"The data do not contradict the model (p = {p:.2g})."
    least = min(test["p"] for test in tests.values())
    facts = facts | {"level": f"{100 * (1 - tests.get('misfit', {'p': 1})['p']):.3g} %"}
    causes = [CAUSES[name].format(**facts) for name, test in tests.items() if test["p"] <= max(least, 0.01)]
    return f"The data contradict the model (p = {p:.2g}): {'; '.join(causes)}."


def ranked(every: dict[str, Tensor]) -> tuple[dict, float, float]:
    """p-value of each test, that of the largest test in units of its upper half, and the largest itself.

    Those units, the distance from the median to the 90 % point, are taken from data and replicates alike, so that under
    the model all have the same chance to be the largest, and the p-values are exact for any number of replicates.

    Arguments:
        every: statistic by test, large where data contradict, of the data and N replicates, with shape (1 + N,).
    """
    table = torch.stack([value.double() for value in every.values()])
    p = (table >= table[:, :1]).double().mean(1)
    middle, high = table.quantile(torch.tensor([0.5, 0.9], dtype=table.dtype, device=table.device), 1, keepdim=True)
    largest = ((table - middle) / (high - middle).clamp_min(1e-300)).amax(0)
    found = {name: {"statistic": float(table[i, 0]), "p": float(p[i])} for i, name in enumerate(every)}
    return found, float((largest >= largest[0]).double().mean()), float(largest[0])


def _drawn(layout: Layout, n: int, generator: torch.Generator) -> Tensor:
    """Simulated innovations (N, windows, m): those of the layout, or n draws of N(0, S)."""
    if layout.drawn is not None:
        return layout.drawn
    windows = len(layout.innovations.w)
    return layout.innovations.draw(n * windows, generator).unflatten(0, (n, windows))


class _Sums:
    """Statistics of N data sets, each of some windows in some layouts.

    Arguments:
        layouts: windows by layout.
        w: for each layout the turned innovations, with shape (N, windows, m).
    """

    def __init__(self, layouts: list[Layout], w: list[Tensor]):
        self.layouts, self.names = layouts, sorted({name for layout in layouts for name in layout.stations})
        self.scales = torch.tensor(SCALES, dtype=torch.float64, device=w[0].device)
        ones, n = torch.ones_like(self.scales), len(w[0])
        self.chi2, self.noise, self.amplitude = 0.0, 0.0, 0.0
        self.score, self.information = w[0].new_zeros(n, len(self.names)), w[0].new_zeros(len(self.names))
        self.loo, products = [], []
        for layout, part in zip(layouts, w, strict=True):
            law, flat, windows = layout.innovations, part.flatten(0, 1), part.shape[1]
            self.chi2 = self.chi2 + law.chi_square(flat).reshape(n, windows).sum(1)
            self.noise = self.noise + law.log_evidence(flat, self.scales, ones).unflatten(0, (n, windows)).sum(1)
            self.amplitude = self.amplitude + law.log_evidence(flat, ones, self.scales).unflatten(0, (n, windows)).sum(
                1
            )
            groups = _indicators(layout.stations, self.names).to(flat)
            score, information = law.bias(flat, groups)
            self.score = self.score + score.unflatten(0, (n, windows)).sum(1)
            self.information = self.information + windows * information
            self.loo.append(law.leave_one_out(flat).unflatten(0, (n, windows)))
            products += _successive(self.loo[-1], layout)
        self.products = torch.cat(products, 1) if products else None
        self.bias_z = self.score / self.information.clamp_min(1e-300).sqrt()

    def statistics(self) -> dict[str, Tensor]:
        """Each test's statistic, with shape (N,)."""
        middle = len(SCALES) // 2
        found = {
            "misfit": self.chi2,
            "bias": self.bias_z.abs().amax(1),
            "noise": self.noise.amax(1) - self.noise[:, middle],
            "amplitude": self.amplitude.amax(1) - self.amplitude[:, middle],
            "outlier": torch.stack([part.abs().amax((1, 2)) for part in self.loo]).amax(0),
        }
        if self.products is not None:
            found["runs"] = self.products.mean(1)
        return found

    def biases(self) -> dict[str, dict[str, float]]:
        """Of the first data set: bias of each station in the units of y, its standard error, and z."""
        rows = zip(self.names, self.score[0].tolist(), self.information.tolist(), strict=True)
        return {n: {"bias": s / i, "error": i**-0.5, "z": s / i**0.5} for n, s, i in rows if i > 0}

    def evidence(self) -> tuple[dict[float, float], dict[float, float]]:
        """Of the first data set: log-evidence by scale over that at 1, of noise and of amplitude."""
        middle = len(SCALES) // 2
        parts = ((part[0] - part[0, middle]).tolist() for part in (self.noise, self.amplitude))
        return tuple(dict(zip((round(s, 3) for s in SCALES), part, strict=True)) for part in parts)

    def pit(self) -> list[float]:
        """Of the first data set: Phi of every leave-one-out z."""
        return [p for part in self.loo for p in torch.special.ndtr(part[0]).flatten().tolist()]

    def facts(self) -> dict:
        """Of the first data set: what the words speak of."""
        worst = max(self.biases().items(), key=lambda item: abs(item[1]["z"]))
        noise, amplitude = (max(part, key=part.get) for part in self.evidence())
        size, name = self._outlier()
        return {"station": worst[0], **worst[1], "noise": noise, "amplitude": amplitude, "worst": size, "outlier": name}

    def _outlier(self) -> tuple[float, str]:
        """Size and name of the reading with the largest leave-one-out z of the first data set."""
        best = (0.0, "")
        for layout, part in zip(self.layouts, self.loo, strict=True):
            size, column = part[0].abs().amax(0).max(0)
            if float(size) > best[0]:
                best = (float(size), f"station {layout.stations[int(column)]}")
        return best


def _indicators(stations: tuple[str, ...], names: list[str]) -> Tensor:
    """1 where a row is of a station: shape (m, stations)."""
    index = torch.tensor([names.index(name) for name in stations])
    return torch.nn.functional.one_hot(index, len(names))


def _successive(loo: Tensor, layout: Layout) -> list[Tensor]:
    """Products of leave-one-out z of one station at successive times: one tensor (N, pairs) at most."""
    first, second = [], []
    for name in dict.fromkeys(layout.stations):
        rows = [i for i, station in enumerate(layout.stations) if station == name]
        rows.sort(key=lambda i: float(layout.times[i]))
        first += rows[:-1]
        second += rows[1:]
    return [(loo[..., first] * loo[..., second]).flatten(1)] if first else []
