"""Do 80 % intervals of fills hold, by the length of the gap: on real and simulated series, on later steps.

An imputer is fitted on 1,000 steps of a series; gaps of several lengths are hidden in the next 500, and the last steps
of tables that end there. The rules of the intervals were chosen on the first group of series; the second one confirms.
With ``--method none`` nothing is fitted: tables are filled zero-shot, and say themselves how wide intervals are.

    python -m benchmarks.gap_intervals --group confirm --output gap_intervals.csv
    python -m benchmarks.gap_intervals --group confirm --method none --output gap_intervals_without_fit.csv
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tracetune import Imputer
from tracetune.data.datasets import dataset_paths
from tracetune.report.tables import markdown_table

FITTED, TABLE = 1000, 1500
LEVELS = (0.1, 0.9)
LENGTHS = {1: (40, 1), 5: (12, 1), 20: (4, 2), 60: (2, 3), 150: (1, 3), 240: (1, 2)}  # gaps in a table, tables
ENDS = (3, 10, 30, 60, 120)  # distances from the last observed step, from one to the next
END_TABLES = 4
NO_FIT = "none"
_SIMULATED = 6000


def known(name: str, column: str | int) -> np.ndarray:
    """Return a column of the first file of a known data set; files of one number a line have no header."""
    path = next(iter(dataset_paths(name).values()))
    frame = pd.read_csv(path, header=None if column == 0 else "infer")
    return frame[column].to_numpy(float)


def weekly_m4() -> np.ndarray:
    """Return a weekly series of M4 that is long enough."""
    frame = pd.read_csv(next(iter(dataset_paths("m4_weekly").values()))).iloc[:, 1:]
    return frame[frame.notna().sum(axis=1) >= TABLE].iloc[5].dropna().to_numpy(float)


def simulated(kind: str, seed: int) -> np.ndarray:
    """Return a simulated series."""
    generator = np.random.default_rng(seed)
    noise, steps = generator.normal(size=_SIMULATED), np.arange(_SIMULATED)
    if kind in ("autoregression", "smooth walk"):
        first, memory = (0.95, 0.0) if kind == "autoregression" else (0.999, 0.98)
        values, speed = np.zeros(_SIMULATED), 0.0
        for step in range(1, _SIMULATED):
            speed = memory * speed + noise[step]
            values[step] = first * values[step - 1] + speed
        return values
    day = np.sin(2 * np.pi * steps / 24)
    return {
        "walk": lambda: noise.cumsum(),
        "heavy-tailed walk": lambda: generator.standard_t(2.5, _SIMULATED).cumsum(),
        "wave on a walk": lambda: 3 * day + 0.2 * noise.cumsum() + 0.2 * generator.normal(size=_SIMULATED),
        "two waves": lambda: day + 0.5 * np.sin(2 * np.pi * steps / 70 + 1) + 0.2 * noise,
        "noise": lambda: noise,
        "counts": lambda: generator.poisson(np.exp(1 + 0.8 * np.sin(2 * np.pi * steps / 7))).astype(float),
    }[kind]()


CHOICE: dict[str, Callable[[], np.ndarray]] = {
    "ETTh1 OT": lambda: known("ETTh1", "OT"),
    "ETTm1 HUFL": lambda: known("ETTm1", "HUFL"),
    "exchange rate 3": lambda: known("exchange_rate", "3"),
    "ambient temperature": lambda: known("nab/ambient_temperature_system_failure", "value"),
    "BIDMC1": lambda: known("ucr_112", 0),
    "air temperature": lambda: known("ucr_115", 0),
    "bleeding": lambda: known("ucr_135", 0),
    "sunspots": lambda: known("monthly_sunspots", "Sunspots"),
    "walk": lambda: simulated("walk", 1),
    "autoregression": lambda: simulated("autoregression", 2),
    "wave on a walk": lambda: simulated("wave on a walk", 3),
    "counts": lambda: simulated("counts", 4),
}
CONFIRM: dict[str, Callable[[], np.ndarray]] = {
    "ETTh2 HULL": lambda: known("ETTh2", "HULL"),
    "ETTm2 OT": lambda: known("ETTm2", "OT"),
    "weather temperature": lambda: known("weather", "T (degC)"),
    "weather humidity": lambda: known("weather", "rh (%)"),
    "exchange rate 6": lambda: known("exchange_rate", "6"),
    "taxis": lambda: known("nab/nyc_taxi", "value"),
    "machine temperature": lambda: known("nab/machine_temperature_system_failure", "value"),
    "GP711": lambda: known("ucr_130", 0),
    "ECG2": lambda: known("ucr_120", 0),
    "insect": lambda: known("ucr_174", 0),
    "respiration": lambda: known("ucr_186", 0),
    "walking": lambda: known("ucr_162", 0),
    "tilt": lambda: known("ucr_198", 0),
    "power demand": lambda: known("ucr_152", 0),
    "M4 weekly": weekly_m4,
    "heavy-tailed walk": lambda: simulated("heavy-tailed walk", 11),
    "smooth walk": lambda: simulated("smooth walk", 12),
    "two waves": lambda: simulated("two waves", 13),
    "noise": lambda: simulated("noise", 14),
}
GROUPS = {"choice": CHOICE, "confirm": CONFIRM}


def tables_with_gaps(values: np.ndarray) -> Iterator[tuple[str, np.ndarray, list[np.ndarray]]]:
    """Yield for each kind of gap the length of a table, as a mask of what is hidden [L], and the steps to measure."""
    for length, (count, tables) in LENGTHS.items():
        width = (TABLE - FITTED) / count
        for table in range(tables):
            hidden = np.zeros(TABLE, dtype=bool)
            for place in range(count):
                start = int(FITTED + 1 + place * width + (table + 0.5) / tables * max(0.0, width - length - 2))
                hidden[start : start + length] = True
            yield f"gap of {length}", hidden, [np.flatnonzero(hidden)]
    for stop in np.linspace(FITTED + ENDS[-1], TABLE, END_TABLES).astype(int).tolist():
        hidden = np.arange(stop) >= stop - ENDS[-1]
        first = stop - ENDS[-1]
        yield "end", hidden, [np.arange(first + low, first + high) for low, high in zip((0, *ENDS), ENDS, strict=False)]


def rows_of(name: str, values: np.ndarray, base: Imputer, method: str) -> Iterator[dict[str, object]]:
    """Yield coverage, width and interval score of every kind of gap; the latter in deviations of the fitted part."""
    frame = pd.DataFrame({"step": np.arange(TABLE), "value": values})
    columns = {"target": "value", "timestamp_column": "step"}
    tuned = base if method == NO_FIT else base.fit(frame[:FITTED], method=method, **columns)
    unit = values[:FITTED].std()
    for kind, hidden, parts in tables_with_gaps(values):
        table = frame[: len(hidden)].assign(value=np.where(hidden, np.nan, values[: len(hidden)]))
        filled = tuned.impute(table, quantile_levels=LEVELS, **columns)
        low, high = (filled[str(level)].to_numpy() for level in LEVELS)
        for number, steps in enumerate(parts):
            truth, lowest, highest = values[steps], low[steps], high[steps]
            beyond = np.maximum(lowest - truth, 0) + np.maximum(truth - highest, 0)
            yield {
                "series": name,
                "winner": NO_FIT if tuned.trace is None else tuned.trace["winner"],
                "gap": kind if kind != "end" else f"end, {(0, *ENDS)[number] + 1} to {ENDS[number]}",
                "coverage": float((beyond <= 1e-9 * unit).mean()),
                "width": float((highest - lowest).mean() / unit),
                "score": float((highest - lowest + 2 / (LEVELS[0] * 2) * beyond).mean() / unit),
            }


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """Return over series, the mean of each one's tables: mean and low coverage, and mean width and score."""
    by_series = found.groupby(["gap", "series"], sort=False)[["coverage", "width", "score"]].mean().reset_index()
    groups = by_series.groupby("gap", sort=False)
    return pd.DataFrame(
        {
            "coverage": groups["coverage"].mean().round(2),
            "lowest": groups["coverage"].min().round(2),
            "tenth": groups["coverage"].quantile(0.1).round(2),
            "width": groups["width"].mean().round(2),
            "score": np.exp(groups["score"].agg(lambda scores: np.log(scores).mean())).round(2),
        }
    ).reset_index()


def main() -> None:
    """Measure, write a row for each kind of gap, table and series, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", choices=list(GROUPS), default="confirm")
    parser.add_argument("--method", default="linear_probe")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    base = Imputer.from_pretrained("tracetune/tiny", device="cpu")
    rows = []
    for name, series in GROUPS[options.group].items():
        values = series()
        starts = [0] if len(values) < 2 * TABLE else [min(200, len(values) - 2 * TABLE), len(values) - TABLE]
        for number, start in enumerate(starts):
            rows += rows_of(f"{name} {number}", values[start : start + TABLE], base, options.method)
            pd.DataFrame(rows).to_csv(options.output, index=False)
    print(markdown_table(summarise(pd.DataFrame(rows)).to_dict("records")))


if __name__ == "__main__":
    main()
