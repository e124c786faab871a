"""Draws results/posterior_exactness.json: the error of each method over that of as many exact draws, bed by bed."""

import json

from common import RESULTS

BEDS = ("gmm-8-1", "gmm-8-2", "gmm-8-4", "gmm-80-1", "gmm-80-2", "gmm-80-4", "grf-64", "grf-64x64")
METHODS = {
    "auto": "C0", "smc": "C2", "afdps": "C4", "mmps": "C1", "mmps-jacobian": "C1", "daps": "C5", "pigdm": "C7",
    "dps-0.3": "C3", "dps-1": "C3", "afdps-published": "C6", "azula-tds": "0.3", "azula-mmps-solved": "0.6",
}  # fmt: skip


def main() -> None:
    """Writes results/posterior_exactness.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = json.loads((RESULTS / "posterior_exactness.json").read_text())["rows"]
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for n, (method, colour) in enumerate(METHODS.items()):
        mine = [r for r in rows if r["method"] == method and r["case"] in BEDS and "error_ratio" in r]
        place = [BEDS.index(r["case"]) + (n - len(METHODS) / 2) * 0.055 for r in mine]
        ratio, low, high = ([r[key] for r in mine] for key in ("error_ratio", "ci_low", "ci_high"))
        bars = [[a - b for a, b in zip(ratio, low, strict=True)], [b - a for a, b in zip(ratio, high, strict=True)]]
        marker = "s" if method.startswith("azula") else "o"
        axes.errorbar(place, ratio, bars, fmt=marker, color=colour, ms=4, lw=1, label=method, alpha=0.9)
    axes.axhline(1, color="k", lw=0.8)
    axes.set(yscale="log", ylabel="error over that of exact draws", xticks=range(len(BEDS)), xticklabels=BEDS)
    axes.legend(ncols=1, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(RESULTS / "posterior_exactness.png", dpi=130)


if __name__ == "__main__":
    main()
