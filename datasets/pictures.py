"""Pictures for the cards: python datasets/pictures.py RUN_FOLDER ... draws datasets/NAME/samples.png of each folder.

A folder is what `sciml-diffusion generate data=NAME samples=4` writes. One space axis: four samples against time. Two:
the first two samples at four times, or all fields of a steady problem.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import sciml_diffusion as sd
from sciml_diffusion.data.manifest import Manifest

ROOT = Path(__file__).resolve().parent
SHOWN = {"smoke": "density", "tracer": "concentration", "shallow-water": "h"}  # else the first field


def draw(name: str, ds, path: Path) -> None:
    """Draws samples of a data set."""
    field = SHOWN.get(name, next(iter(ds.data_vars)))
    if "y" not in ds.dims:
        panels = [[(field, sample, None) for sample in range(4)]]
    elif ds.sizes["time"] == 1:
        panels = [[(v, sample, 0) for sample in range(2) for v in ds.data_vars if "time" in ds[v].dims]]
    else:
        last = ds.sizes["time"] - 1
        frames = np.linspace(0, last, 4).round().astype(int)
        panels = [[(field, sample, frame) for frame in frames] for sample in range(2)]
    figure, axes = plt.subplots(len(panels), 4, figsize=(7.2, 1.95 * len(panels)), squeeze=False, layout="constrained")
    for row, line in zip(axes, panels, strict=True):
        for axis, (variable, sample, frame) in zip(row, line, strict=True):
            _panel(axis, ds, variable, sample, frame)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=72, pil_kwargs={"optimize": True})
    plt.close(figure)
    _fewer_colours(path)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _panel(axis, ds, variable: str, sample: int, frame: int | None) -> None:
    values = ds[variable].isel(sample=sample)
    scale = ds[variable].isel(sample=sample).values if frame is not None else values.values
    low, high = (float(np.nanpercentile(scale, p)) for p in (0.2, 99.8))
    both = low < 0 < high
    limit = max(-low, high)
    style = (
        {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if both else {"cmap": "viridis", "vmin": low, "vmax": high}
    )
    if frame is None:
        extent = [ds.x.values[0], ds.x.values[-1], ds.time.values[0], ds.time.values[-1]]
        axis.imshow(values, origin="lower", aspect="auto", extent=extent, **style)
        axis.set_title(f"{variable}, sample {sample}", fontsize=8)
        axis.set_xlabel("x", fontsize=7)
        axis.set_ylabel("time" if sample == 0 else "", fontsize=7)
        axis.tick_params(labelsize=6)
        return
    image = values.isel(time=frame).values.copy()
    if "solid" in ds:
        image[ds["solid"].values == 1] = np.nan
        axis.set_facecolor("0.6")
    axis.imshow(image, origin="lower", **style)
    when = "" if ds.sizes["time"] == 1 else f", time {float(ds.time[frame]):g}"
    axis.set_title(f"{variable}, sample {sample}{when}", fontsize=7)
    axis.set_xticks([])
    axis.set_yticks([])


def _fewer_colours(path: Path) -> None:
    """A palette of 64 colours: a third of the bytes."""
    from PIL import Image

    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        title = Manifest.load(Path(folder)).request["generator"]
        draw(title, sd.open_dataset(folder), ROOT / title / "samples.png")
