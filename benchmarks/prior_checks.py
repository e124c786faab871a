"""Do draws of a shipped prior look like data, and are they new? Spread, spectra and distance to the training windows.

Rows: `std_ratio` (spread of the draws over that of held-out windows), `spectrum_low`, `spectrum_mid`, `spectrum_high`
(power of the draws over that of held-out windows in thirds of the wavenumbers, by octaves), `nearest` and `nearest_min`
(distance of a draw to the nearest training window over that of a held-out window: near 0 for copies, about 1 for news),
and the same ratios of the training windows beside them: how far one sample of weather lies from another. `--pictures`
writes samples.png beside each prior.
"""

import numpy as np
import torch
import yaml
from common import ROOT, Report, parser
from torch import Tensor

import sciml_diffusion as sd
from sciml_diffusion.api import ZOO
from sciml_diffusion.data.container import to_tensor
from sciml_diffusion.data.windows import contiguous_segments, window_index
from sciml_diffusion.evaluate.diagnostics import nearest_distance
from sciml_diffusion.evaluate.spectra import axis_spectrum, isotropic_spectrum
from sciml_diffusion.prior import Prior
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams


def era5_windows(prior: Prior) -> tuple[Tensor, Tensor]:
    """Windows of the training and test days in diffusion space, shape (N, *event)."""
    fields, parts = sd.open_dataset("era5-uk-t2m").load(), []
    for period, stride in ((("2019-03-01", "2019-03-24"), 1), (("2019-03-26", "2019-03-31"), 4)):
        part = fields.sel(time=slice(*period))
        x, time = to_tensor(part).movedim(0, 1)[None], part["time"].values
        index = window_index(contiguous_segments(time, prior.step), prior.window, stride)
        parts.append(torch.cat([prior.codec.at(time[i]).encode(x[:, :, i]) for i in index]))
    return parts[0], parts[1]


def sample_windows(name: str, prior: Prior, quick: bool) -> tuple[Tensor, Tensor]:
    """Training samples (the first of them) and held-out ones in diffusion space, shape (N, *event).

    They come from the generator of the dataset of the prior's name, with the settings on which the prior was trained.
    """
    counts = (512, 128) if quick else (4096, 512) if len(prior.grid.dims) == 1 else (1024, 256)
    leaf = yaml.safe_load((ROOT / "configs" / "train" / f"{name}.yaml").read_text())["fields"]
    options = {k: v for k, v in leaf["generator"].items() if k != "_target_"}
    parts = [sd.generate(name, n, seed, **options) for n, seed in zip(counts, (0, 7), strict=True)]
    return tuple(prior.codec.encode(to_tensor(part).movedim(1, 2)) for part in parts)


def spectrum(z: Tensor, space: int) -> Tensor:
    """Mean power by wavenumber, of windows (N, C T, H, W) with two axes of space, or (N, C, T, X) with one."""
    return (isotropic_spectrum(z, window=True) if space == 2 else axis_spectrum(z[:, 0])).mean(0)[1:]


def thirds(power: Tensor, reference: Tensor) -> dict[str, float]:
    """Power over that of the reference in three bands of equal width in ln k; both with shape (wavenumbers,)."""
    edges = np.geomspace(1, len(power) + 1, 4).round().astype(int) - 1
    names = ("spectrum_low", "spectrum_mid", "spectrum_high")
    bands = zip(names, edges[:-1], edges[1:], strict=True)
    return {name: float(power[a:b].sum() / reference[a:b].sum()) for name, a, b in bands}


def check(name: str, windows: tuple[Tensor, Tensor], prior: Prior, members: int, report: Report) -> None:
    """Adds the rows of one prior: its draws, and its training windows against the same held-out ones."""
    train, held = windows
    streams = MemberStreams(report.seed, [0], range(members), prior.dtype)
    draws = Ancestral(karras_sigmas(32, *prior.sigma_range))(prior.denoiser, streams)
    for method, z in (("draws", draws), ("training windows", train)):
        row = {"std_ratio": float(z.std(0).mean() / held.std(0).mean())} | thirds(
            *(spectrum(part, len(prior.grid.dims)) for part in (z, held))
        )
        if method == "draws":
            distance = nearest_distance(z, train, held)
            row |= {"nearest": float(distance.median()), "nearest_min": float(distance.min())}
        report.add(case=name, method=method, members=len(z), **row)


def picture(name: str, members: int = 4) -> None:
    """Writes draws of a prior beside it."""
    from matplotlib.figure import Figure

    prior, post = sd.load_prior(name), sd.sample(name, members=members, seed=1)
    field = post[prior.variables[0].name]
    images = field.isel(time=len(field.time) // 2).values if len(prior.grid.dims) > 1 else field.values
    figure = Figure(figsize=(3.1 * members, 3.4), layout="constrained")
    low, high = np.nanpercentile(images, [0.5, 99.5])
    x, y = (prior.grid.dims[1], prior.grid.dims[0]) if len(prior.grid.dims) > 1 else (prior.grid.dims[0], "time")
    for axes, image in zip(figure.subplots(1, members, sharey=True), images, strict=True):
        shown = axes.pcolormesh(post[x], post[y], image, vmin=low, vmax=high, shading="nearest")
        axes.set_xlabel(x)
    figure.axes[0].set_ylabel(y)
    figure.colorbar(shown, ax=figure.axes, label=f"{field.name} [{field.attrs.get('units', '1')}]")
    figure.savefig(ZOO / name / "samples.png", dpi=80)


def main() -> None:
    """Checks the shipped priors."""
    arguments = parser(__doc__)
    arguments.add_argument("--pictures", action="store_true", help="write samples.png beside each prior")
    options = arguments.parse_args()
    report = Report("prior_checks", options.quick, options.seed)
    for name in sorted(path.parent.name for path in ZOO.glob("*/prior.json")):
        prior = sd.load_prior(name)
        series = name.startswith("era5")
        windows = era5_windows(prior) if series else sample_windows(name, prior, options.quick)
        check(name, windows, prior, 64 if options.quick else 256, report)
        if options.pictures:
            picture(name)
    report.write()


if __name__ == "__main__":
    main()
