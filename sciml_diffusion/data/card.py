"""The card beside generated data: what it is, how it came, how to open and to make it again."""

from .generators.base import Generator
from .manifest import Manifest


def card(generator: Generator, manifest: Manifest, statistics: dict[str, dict[str, dict]]) -> str:
    """A page in Markdown.

    Arguments:
        generator: of the data.
        manifest: of their folder.
        statistics: of every variable, as `write.statistics_of` gives them.
    """
    request = manifest.request
    numbers = {k: v for k, v in generator.settings.items() if k != "generator"}
    rows = {
        "equation": generator.equation,
        "parameters": ", ".join(f"{key} = {value}" for key, value in numbers.items()),
        "initial law": generator.law,
        "boundary": generator.boundary,
        "solver": generator.solver + "".join(f"; {key} = {value}" for key, value in generator.facts.items()),
        "samples": f"{request['samples']}, from index {request['start']} of seed {request['seed']}",
        "files": f"{len(manifest.shards)} ({request['format']}), {manifest.bytes:,} bytes",
        "made by": f"sciml_diffusion {request['version']}",
        "licence": "Apache-2.0, that of the program that made them",
    }
    lines = [f"# {generator.title}", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()), ""]
    lines += ["## Variables", "", *_variables(generator, statistics), "", "## Axes", "", *_axes(generator), ""]
    lines += ["## Open", "", "```python", "import sciml_diffusion as sd", 'fields = sd.open_dataset("this folder")']
    lines += [
        "```",
        "",
        "Checksums, settings and versions are in manifest.json, statistics (of all samples; those of a",
    ]
    lines += ["training split: `data.moments.trajectory_statistics`) in statistics.json."]
    return "\n".join(lines) + "\n"


def _variables(generator: Generator, statistics: dict) -> list[str]:
    """A table of the arrays."""
    lines = ["| name | dims | what | units | mean | std | min | max | std of increments |", "|---" * 9 + "|"]
    for v in generator.variables:
        dims = v.dims if v.shared else ("sample", *v.dims)
        known = statistics.get(v.name, {})
        values = [f"{known['values'][k]:.4g}" for k in ("mean", "std", "min", "max")] if known else ["-"] * 4
        values.append(f"{known['increments']['std']:.4g}" if "increments" in known else "-")
        lines.append(f"| {v.name} | {', '.join(dims)} | {v.long_name} | {v.units} | {' | '.join(values)} |")
    return lines


def _axes(generator: Generator) -> list[str]:
    """A table of the axes."""
    lines = ["| axis | points | from | to | units | period |", "|---" * 6 + "|"]
    for name, (values, attrs) in generator.axes.items():
        ends = f"{len(values)} | {values[0]:g} | {values[-1]:g}"
        lines.append(f"| {name} | {ends} | {attrs.get('units', '1')} | {attrs.get('period', '-')} |")
    return lines
