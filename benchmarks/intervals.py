"""Do 80 % intervals hold on the next period: as the validation errors lie, corrected for few windows, and recalibrated.

A head is fitted on each cut of each set as ``Forecaster.fit`` does it (``benchmarks/next_period_data.py``), and its
intervals are held beside the test part, in four periods of time and by channel.

    python -m benchmarks.intervals --output docs/results/intervals
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from benchmarks.common import Results, grouped
from benchmarks.next_period_data import CONTEXT, segment
from tracetune.backbones.loading import load_backbone
from tracetune.data.panels import Panel
from tracetune.data.splits import Part, fit_split
from tracetune.estimators.forecasting.prediction import recalibrated_series
from tracetune.estimators.forecasting.recalibration import ORIGINS, TRACKED, Recalibration
from tracetune.estimators.intervals import ResidualQuantiles, residual_quantiles
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.data import ForecastData, forecast_data
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

HORIZONS = {
    "ETTh1": 24,
    "ETTh2": 24,
    "ETTm1": 96,
    "ETTm2": 96,
    "weather": 144,
    "exchange_rate": 20,
    "national_illness": 8,
}
CUTS = (1, 2)
LEVEL = 0.8
_PERIODS = 4
_STEPS = 3600


def fitted_head(panel: Panel, tests: Sequence[Part], horizon: int, backbone: Any) -> tuple[nn.Module, ForecastData]:
    """Fit a head on what lies before the test parts."""
    past = panel.cut(0, tests[0].start)
    split = fit_split(past, horizon)
    data = forecast_data(past, split, CONTEXT, horizon, 7, max(horizon, CONTEXT // 4), 300)
    config = FitConfig(method="linear_probe", head_training=TrainingConfig(num_train_epochs=3))
    with Run.at(None) as run:
        return fit(Forecasting(horizon, CONTEXT), backbone, data, config, run).model.eval(), data


def held(
    model: Any, intervals: ResidualQuantiles, values: np.ndarray, test: Part, horizon: int, recalibrate: int
) -> dict[str, Any]:
    """Return the share of the truth inside, [channel, period], and the mean interval score in deviations."""
    origins = list(range(test.start, test.stop - horizon + 1, max(1, horizon // 2)))
    offsets = intervals.at([0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    recalibration = Recalibration(intervals.at(TRACKED), recalibrate) if recalibrate else None
    pasts = (values[:, :origin] for origin in origins)

    def forecast(batch: Any) -> Any:
        return model(batch["past_values"], batch["input_mask"])

    inside, scores = [], []
    for origin, (each, widths) in zip(
        origins, recalibrated_series(forecast, pasts, CONTEXT, 256, recalibration=recalibration), strict=True
    ):
        errors = each.errors(values[:, origin : origin + horizon])
        low, high = (offsets[:, side] * (1.0 if widths is None else widths[:, None]) for side in (0, 1))
        beyond = np.maximum(low - errors, 0) + np.maximum(errors - high, 0)
        inside.append((beyond == 0).mean(axis=1))
        scores.append((high - low + 2 / (1 - LEVEL) * beyond).mean())
    parts = np.array_split(np.array(inside), _PERIODS)  # [origins, channels]
    return {
        "coverage": np.stack([part.mean(axis=0) for part in parts], axis=1).tolist(),
        "score": float(np.mean(scores)),
    }


def row_of(name: str, cut: int, backbone: Any) -> dict[str, Any]:
    """Return one row: coverage and score of each kind of interval on a cut."""
    horizon = HORIZONS[name]
    panel, tests = segment(name, cut, _STEPS)
    model, data = fitted_head(panel, tests, horizon, backbone)
    plain = residual_quantiles(model, data.validation)
    corrected = residual_quantiles(model, data.validation, data.disjoint_windows)
    values = panel.series[0].values
    kinds = {
        "as validation errors lie": (plain, 0),
        "for few windows": (corrected, 0),
        "recalibrated": (corrected, ORIGINS),
    }
    found = {
        kind: held(model, intervals, values, tests[0], horizon, count) for kind, (intervals, count) in kinds.items()
    }
    return {"dataset": name, "cut": cut, "horizon": horizon, "independent": data.disjoint_windows, "kinds": found}


def summarise(rows: list[dict[str, Any]]) -> str:
    """Return the results in Markdown."""
    cells = [(row, kind, found) for row in rows for kind, found in row["kinds"].items()]
    first = {(row["dataset"], row["cut"]): next(iter(row["kinds"].values()))["score"] for row in rows}
    table, sets = [], []
    for kind in dict.fromkeys(kind for _, kind, _ in cells):
        of_kind = [(row, np.array(found["coverage"]), found["score"]) for row, each, found in cells if each == kind]
        means = np.array([coverage.mean() for _, coverage, _ in of_kind])
        periods = np.mean([np.abs(coverage.mean(axis=0) - LEVEL).mean() for _, coverage, _ in of_kind])
        channels = np.mean([np.abs(coverage - LEVEL).mean() for _, coverage, _ in of_kind])
        ratios = [np.log(score / first[row["dataset"], row["cut"]]) for row, _, score in of_kind]
        table.append(
            {
                "80 % intervals": kind,
                "coverage": f"{means.mean():.1%}",
                "lowest and highest case": f"{means.min():.0%} to {means.max():.0%}",
                "off by, in a period": f"{periods:.1%}",
                "in a period of a channel": f"{channels:.1%}",
                "interval score": f"{np.exp(np.mean(ratios)):.3f}",
            }
        )
    for (name,), of_set in grouped(rows, "dataset"):
        row = {"set": name, "H": of_set[0]["horizon"], "windows": "/".join(str(each["independent"]) for each in of_set)}
        for kind in of_set[0]["kinds"]:
            shares = [np.mean(each["kinds"][kind]["coverage"], axis=0) for each in of_set]
            row[kind] = ", ".join(" ".join(f"{100 * share:.0f}" for share in cut) for cut in shares)
        sets.append(row)
    return "\n\n".join(
        ["## All", markdown_table(table), "## Coverage by period, in percent, for both cuts", markdown_table(sets)]
    )


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="path without suffix")
    parser.add_argument("--datasets", nargs="+", default=list(HORIZONS))
    parser.add_argument("--model", default="tracetune/tiny")
    options = parser.parse_args()
    backbone = load_backbone(options.model).eval().requires_grad_(False)
    results = Results("intervals", options, backbone, summarise, ("dataset", "cut"))
    for cut in CUTS:
        for name in options.datasets:
            if results.find(dataset=name, cut=cut) is None:
                results.add(row_of(name, cut, backbone))


if __name__ == "__main__":
    main()
