"""When does ``--resolution auto`` pay: series of any length, with seasons of any length and shape, real ones too.

Of each series the last part is the test: forecasts from several origins there, beside the naive ones. Resolution, trend
and season are chosen by a backtest on what lies before it. Simulated series are a level that walks (0.1 a step), a
season of deviation 3 and noise of deviation 1; the season is a shape drawn at random ("steps") or a sine.

    python -m benchmarks.resolution_choice --output docs/results/resolution_choice
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.common import Results, Row
from tracetune import Adjustment, Forecaster
from tracetune.data.datasets import load_dataset
from tracetune.data.panels import Panel
from tracetune.data.reading.read import panel_from_frame
from tracetune.report.tables import markdown_table

PERIODS = (4, 5, 7, 10, 12, 24, 48)
LENGTHS = (120, 300, 1000)
LONG = {"ETTh1": 24, "ETTh2": 24, "ETTm1": 96, "ETTm2": 96, "weather": 144, "exchange_rate": 5, "national_illness": 52}
CLASSIC = ("airpassengers", "monthly_milk", "monthly_sunspots", "wineind", "ausbeer", "woolyrnq")
_SERIES = 8  # of a simulated case
_CHANNELS = 7  # of a long set, at most
_ORIGINS = 5  # horizons in the test part, at most a third of a series
_FEWEST_SEASONS = 8


@dataclass(frozen=True)
class SeasonalCase:
    """Series [S, L] and the steps of their season."""

    name: str
    values: np.ndarray
    period: int

    @property
    def horizon(self) -> int:
        """Return two seasons, at least 8 steps and at most 48."""
        return max(8, min(2 * self.period, 48))

    @property
    def test_length(self) -> int:
        """Return the length of the test part."""
        return min(_ORIGINS * self.horizon, self.values.shape[1] // 3)

    def panel(self, stop: int | None = None) -> Panel:
        """Return the first steps of each series."""
        steps = np.arange(self.values.shape[1])[:stop]
        frames = [
            pd.DataFrame({"item_id": f"{number}", "timestamp": steps, "target": row[:stop]})
            for number, row in enumerate(self.values)
        ]
        return panel_from_frame(pd.concat(frames))


def simulated(period: int, length: int, *, sine: bool) -> SeasonalCase:
    """Return series whose season has a random shape, or that of a sine."""
    rng = np.random.default_rng((period, length, sine))
    steps = np.arange(length)
    rows = []
    for _ in range(_SERIES):
        wave = np.sqrt(2) * np.sin(2 * np.pi * np.arange(period) / period + rng.uniform(0, 2 * np.pi))
        shape = wave if sine else rng.normal(size=period)
        shape = (shape - shape.mean()) / shape.std()
        rows.append(50 + rng.normal(0, 0.1, length).cumsum() + 3 * shape[steps % period] + rng.normal(size=length))
    return SeasonalCase(f"{'sine' if sine else 'steps'}, {length} steps", np.array(rows), period)


def cases() -> Iterator[SeasonalCase]:
    """Yield simulated series, the last steps of long sets, and classic series."""
    for period in PERIODS:
        for length in (length for length in LENGTHS if length >= _FEWEST_SEASONS * period):
            yield simulated(period, length, sine=False)
        yield simulated(period, 1000, sine=True)
    for name, period in LONG.items():
        known = load_dataset(name)
        (series,) = known.panel.series
        end = len(series) if known.borders is None else known.borders.test_end
        for length in (500, min(2000, end)):
            part = series.cut(end - length, end).values[:_CHANNELS]  # noqa: PD011 - not a pandas object
            yield SeasonalCase(f"{name}, {length} steps", part, period)
    for name in CLASSIC:
        known = load_dataset(name)
        yield SeasonalCase(name, known.panel.series[0].values, known.info.seasonality)


def measured(case: SeasonalCase, model: str) -> Row:
    """Return the MASE of each way to read the series, beside the seasonal naive forecast."""
    base = Forecaster.from_pretrained(model, case.horizon, device="cpu")
    season = Adjustment(season=case.period)
    without = Forecaster.from_pretrained(model, case.horizon, adjustment=season, device="cpu")
    past = case.panel(-case.test_length)
    finer = base.choose_resolution(past, season=1, trend=0.0)
    auto = base.choose_resolution(past, season=case.period)
    ways = {"as they are": base, "season out": without, "resolution": finer, "auto": auto}
    found = {name: errors_of(each, case) for name, each in ways.items()}
    return {
        "series": case.name,
        "period": case.period,
        "H": case.horizon,
        **{name: float(errors["model"]) for name, errors in found.items()},
        "seasonal naive": float(found["auto"].drop("model").filter(like="seasonal").min()),
        "auto chose": ", ".join(map(str, auto.resolutions)),
        "without": auto.adjustment.describe() if auto.adjustment.changes else "",
    }


def errors_of(forecaster: Forecaster, case: SeasonalCase) -> pd.Series:
    """Return the mean MASE of a forecaster and of the naive forecasts on the test part."""
    found = forecaster.evaluate(case.panel(), test_length=case.test_length, season=case.period)
    return found.overall.set_index("forecaster")["mase"]


def summary(rows: list[Row]) -> str:
    """Return the table, and how often and by how much each way beats reading series as they are."""
    ways = ("season out", "resolution", "auto")
    real = [row for row in rows if not row["series"].startswith(("steps", "sine"))]
    lines = []
    for kind, chosen in (("simulated", [row for row in rows if row not in real]), ("real", real)):
        for way in ways if chosen else ():
            ratios = np.array([row[way] / row["as they are"] for row in chosen])
            lines.append(
                {
                    "series": kind,
                    "read": way,
                    "error of that as they are": float(np.exp(np.log(ratios).mean())),
                    "better in": f"{(ratios < 0.99).sum()} of {len(ratios)}",
                    "worse in": f"{(ratios > 1.01).sum()}",
                    "worst": float(ratios.max()),
                }
            )
    columns = ("series", "period", "H", "seasonal naive", "as they are", *ways, "auto chose", "without")
    return (
        "# When `--resolution auto` pays\n\nMASE of zero-shot forecasts in a test part of up to five horizons; what is "
        "chosen is chosen on the past before it. *Season out*: the season is taken out at resolution 1 "
        "(`--adjust-season`); *resolution*: chosen alone; *auto*: both, and the trend.\n\n"
        f"{markdown_table(lines)}\n\n"
        "The error of that as they are is a geometric mean over cases; better and worse are by more than 1 %.\n\n"
        f"{markdown_table(rows, columns)}"
    )


def main() -> None:
    """Measure every case that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    backbone = Forecaster.from_pretrained(arguments.model, 8, device="cpu").forecast_model.backbone
    identity = ("series", "period")
    results = Results("resolution_choice", arguments, backbone, summary, identity)
    for case in cases():
        if results.find(series=case.name, period=case.period) is None:
            results.add(measured(case, arguments.model))


if __name__ == "__main__":
    main()
