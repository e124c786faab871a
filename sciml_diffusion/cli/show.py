"""Numbers and facts for the terminal."""

from collections.abc import Mapping


def table(metrics: Mapping[str, Mapping[str, Mapping]]) -> str:
    """{case: {method: {metric: number}}} as text: one row for each method, one column for each number."""
    rows = [(case, method, values) for case, methods in metrics.items() for method, values in methods.items()]
    names = list(dict.fromkeys(k for *_, values in rows for k, v in values.items() if isinstance(v, (int, float))))
    cells = [["case", "method", *names]]
    cells += [[case, method, *(_number(values.get(name)) for name in names)] for case, method, values in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def facts(values: Mapping, indent: str = "") -> str:
    """Nested facts as indented lines."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", facts(value, indent + "  ")]
        elif value not in (None, "", [], ()):
            lines.append(f"{indent}{key}: {value}")
    return "\n".join(line for line in lines if line)


def _number(value) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "-"
