"""Compare ``learning_rate="auto"`` with rates that are given, from the cells of ``benchmarks/next_period.py``.

"auto" tries each rate for a quarter of the steps, trains at the best one, and takes whichever of these models has the
lowest validation loss. Each of these trainings is a cell.

    python -m benchmarks.next_period_rates --cells FOLDER
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import grouped
from benchmarks.next_period_methods import BEST_STEP
from benchmarks.next_period_rules import SHRUNK, Cell, judged, shrunk, way_of
from tracetune.base.files import read_json
from tracetune.fitting.learning_rate import AUTO_RATES
from tracetune.fitting.method_phase import TRIAL_SHARE
from tracetune.report.tables import markdown_table

_RATE = ", rate "


def rate_of(cell: Cell) -> float:
    """Return the learning rate of a cell."""
    return float(cell["method"].partition(_RATE)[2].removesuffix(BEST_STEP))


def validation_loss(cell: Cell) -> float:
    """Return the mean validation loss of what came out, moved along its way, over that of the start."""
    way = way_of(cell)
    return float(way.at(shrunk(way)).mean() / way.start.mean())


def test_loss(cell: Cell) -> float:
    """Return its test loss over that of the start."""
    return judged(cell, rules=[SHRUNK])[SHRUNK]


def chosen(trials: list[Cell], wholes: list[Cell]) -> Cell:
    """Return the training that "auto" takes."""
    best = min(trials, key=validation_loss)
    (whole,) = (cell for cell in wholes if rate_of(cell) == rate_of(best))
    return min((whole, best), key=validation_loss)


def rate_rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """Return one row a method, set, seed and number of steps of which all trainings are there."""
    rows = []
    usable = [cell | {"steps": cell["settings"]["steps"]} for cell in cells if cell["method"].endswith(BEST_STEP)]
    usable = [cell | {"family": cell["method"].partition(_RATE)[0]} for cell in usable if _RATE in cell["method"]]
    usable = [cell for cell in usable if rate_of(cell) in AUTO_RATES]
    for place, group in grouped(usable, "family", "dataset", "horizon", "cut", "seed"):
        by_steps = {steps: part for (steps,), part in grouped(group, "steps")}
        for steps, wholes in sorted(by_steps.items()):
            trials = by_steps.get(int(np.ceil(TRIAL_SHARE * steps)), [])
            if len(trials) < len(AUTO_RATES) or len(wholes) < len(AUTO_RATES):
                continue
            taken = chosen(trials, wholes)
            given = {rate_of(cell): test_loss(cell) for cell in wholes}
            three = min(wholes, key=validation_loss)
            rows.append(
                dict(zip(("method", "set", "horizon", "cut", "seed"), place, strict=True))
                | {"steps": steps, "auto": round(test_loss(taken), 4)}
                | {"taken": f"{rate_of(taken):g}, {taken['steps']} steps"}
                | {"three whole": round(test_loss(three), 4)}
                | {f"{rate:g}": round(given[rate], 4) for rate in AUTO_RATES}
            )
    return rows


def summary_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the geometric means over sets and seeds, by method and steps."""
    columns = ["auto", "three whole", *(f"{rate:g}" for rate in AUTO_RATES)]
    return [
        {"method": method, "steps": steps, "cases": len(group)}
        | {name: round(float(np.exp(np.mean([np.log(row[name]) for row in group]))), 4) for name in columns}
        for (method, steps), group in grouped(rows, "method", "steps")
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder of finished cells")
    options = parser.parse_args()
    cells = [read_json(path) for path in sorted(Path(options.cells).glob("*.json"))]
    rows = rate_rows(cells)
    print(markdown_table(rows), markdown_table(summary_rows(rows)), sep="\n\n")


if __name__ == "__main__":
    main()
