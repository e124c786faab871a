"""Every solver and residual against a closed form or a manufactured solution.

Rows with `order` hold the order observed by regression over the named resolutions; it must lie within `tolerance` of
`expected_order`. Rows with `limit` hold a `value` (a divergence, a drift, an error at round-off), at most that.

    python benchmarks/solver_accuracy.py [--quick]
"""

import sys
from importlib import import_module
from pathlib import Path

from common import Report, parser

MODULES = sorted(path.stem for path in (Path(__file__).parent / "accuracy").glob("[!_]*.py"))


def fits(row: dict) -> bool:
    """Whether a row is within its bounds."""
    if "order" in row:
        return abs(row["order"] - row["expected_order"]) <= row["tolerance"]
    return row["value"] <= row["limit"]


def main() -> int:
    """Prints the rows and a table; returns 1 where one is out of bounds."""
    arguments = parser(__doc__.splitlines()[0]).parse_args()
    report = Report("solver_accuracy", arguments.quick, arguments.seed)
    for module in MODULES:
        for row in import_module(f"accuracy.{module}").rows(arguments.quick):
            report.add(**row, ok=fits(row))
    report.write()
    bad = [f"{row['solver']} ({row['case']})" for row in report.rows if not row["ok"]]
    print("all within bounds" if not bad else f"out of bounds: {', '.join(bad)}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
