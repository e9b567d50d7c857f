"""What a pretrained model does without any training: forecasts beside naive ones, gaps filled beside a straight line.

Forecasts are the model's own (the future is a hidden suffix). Monthly series of M3 and hourly ones of M4: sMAPE, mean
over all series. ETTh1 at H = 96 and the filling of hidden patches on all ETT sets: MSE and MAE on values scaled by the
training part, over the whole test part. Nothing is chosen, so test is all that is read.

    python -m benchmarks.zero_shot --model tracetune/tiny
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import CONTEXT, Results, Row, fingerprint, grouped, load_case, test_errors
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.normalisation import interpolate_gaps
from tracetune.data.datasets import LoadedDataset, load_dataset
from tracetune.data.splits import split_panel
from tracetune.data.windows import batches, context_batch
from tracetune.evaluation.baselines import auto_ets, repeat_last, seasonal_naive
from tracetune.evaluation.metrics import MetricAccumulator
from tracetune.evaluation.protocol import ProtocolFingerprint
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.data import scale_panel
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.naive_forecasts import naive_forecasters
from tracetune.tasks.reconstruction import MaskingConfig, draw_patch_mask

SHORT, LONG = ("m3_monthly", "m4_hourly"), ("ETTh1",)
FILLED = ("ETTh1", "ETTh2", "ETTm1", "ETTm2")
HORIZON, HIDDEN, FILL_STRIDE = 96, 0.3, 128

TITLES = {
    "short": ("Short series", "sMAPE, mean over all series; the horizon is the one of the competition."),
    "long": (f"ETTh1 at H = {HORIZON}", "MSE and MAE on scaled values, every window of the test part."),
    "fill": (
        f"{HIDDEN:.0%} of the patches hidden",
        f"MSE and MAE of the hidden steps, scaled values, windows of {CONTEXT} steps every {FILL_STRIDE} over the "
        "test part, the same patches hidden for both.",
    ),
}


def short_rows(dataset: str, backbone: Any, with_ets: bool) -> Iterator[Row]:
    """Yield sMAPE of the model and of the naive forecasts on series that each have one horizon."""
    known = load_dataset(dataset)
    assert known.test_panel is not None, "short data sets come with their horizon"
    horizon, season = known.info.horizons[0], known.info.seasonality
    past = [series.values for series in known.panel]
    truth = np.concatenate([series.values for series in known.test_panel])
    forecasts = {
        "zero-shot": partial(_model_forecast, backbone, past, horizon),
        f"seasonal naive ({season})": lambda: _per_series(past, lambda x: seasonal_naive(x, season, horizon)),
        "repeat last": lambda: _per_series(past, lambda x: repeat_last(x, horizon)),
    }
    if with_ets:
        forecasts["AutoETS"] = lambda: auto_ets([channel for values in past for channel in values], season, horizon)
    mark = _short_fingerprint(known, horizon).to_dict()
    for method, forecast in forecasts.items():
        metrics = MetricAccumulator(("smape",))
        metrics.update(truth, forecast())
        yield {"task": "short", "dataset": dataset, "method": method, **metrics.compute(), "fingerprint": mark}


def long_rows(dataset: str, backbone: Any) -> Iterator[Row]:
    """Yield MSE and MAE of the model and of the naive forecasts over every test window."""
    case = load_case(dataset, HORIZON, 1, 1)
    model = ForecastModel.from_backbone(backbone, HORIZON, None, CONTEXT).eval()
    forecasters: dict[str, Callable[[Any], Tensor]] = {
        "zero-shot": lambda batch: model(batch["past_values"], batch["input_mask"]).forecast,
        **naive_forecasters(HORIZON, case.known.info.seasonality),
    }
    mark = fingerprint(case, 0).to_dict() | {"train_windows": 0}
    for method, forecaster in forecasters.items():
        errors = test_errors(forecaster, batches(case.test, 512))
        yield {"task": "long", "dataset": dataset, "method": method, **errors, "fingerprint": mark}


def fill_rows(dataset: str, backbone: Any) -> Iterator[Row]:
    """Yield MSE and MAE of hidden patches, rebuilt by the model and by linear interpolation."""
    known = load_dataset(dataset)
    windows = _test_windows(known)
    generator = torch.Generator().manual_seed(0)
    masking = MaskingConfig(random_share=1.0, random_ratio=HIDDEN)
    patch_mask = draw_patch_mask(len(windows), CONTEXT // backbone.patch_length, masking, generator)
    hidden = patch_mask.repeat_interleave(backbone.patch_length, dim=-1)
    parts = zip(windows.split(256), patch_mask.split(256), strict=True)
    with torch.inference_mode():
        rebuilt = torch.cat([backbone(values, None, mask) for values, mask in parts])
    filled = {"zero-shot": rebuilt, "linear interpolation": interpolate_gaps(windows, ~hidden)}
    mark = _fill_fingerprint(known, backbone.patch_length).to_dict()
    for method, values in filled.items():
        metrics = MetricAccumulator(("mse", "mae"))
        metrics.update(windows.numpy(), values.numpy(), hidden.numpy())
        yield {"task": "fill", "dataset": dataset, "method": method, **metrics.compute(), "fingerprint": mark}


def _model_forecast(backbone: Any, past: list[np.ndarray], horizon: int) -> np.ndarray:
    model = ForecastModel.from_backbone(backbone, horizon, None, CONTEXT).eval()
    with torch.inference_mode():
        parts = [model(**batch).forecast for batch in context_batch(past, CONTEXT, 512)]
    return torch.cat(parts).squeeze(1).numpy()


def _per_series(past: list[np.ndarray], forecast: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([forecast(values) for values in past])


def _test_windows(known: LoadedDataset) -> Tensor:
    """Return windows [W, 1, T] that cover the scaled test part of every channel; the last one ends with it."""
    split = split_panel(known.panel, known.borders)
    (start, stop), (values,) = split.test[0], scale_panel(known.panel, split.train).values
    starts = sorted({*range(start, stop - CONTEXT, FILL_STRIDE), stop - CONTEXT})
    return torch.from_numpy(np.concatenate([values[:, begin : begin + CONTEXT] for begin in starts])).unsqueeze(1)


def _short_fingerprint(known: LoadedDataset, horizon: int) -> ProtocolFingerprint:
    return ProtocolFingerprint(
        dataset=known.info.name, data_sha256=known.info.files[0].content_sha256, borders=(0, 0, horizon),
        context_length=CONTEXT, prediction_length=horizon, seed=0, scaler="none", metric_space="original",
        train_windows=0,
    )  # fmt: skip


def _fill_fingerprint(known: LoadedDataset, patch_length: int) -> ProtocolFingerprint:
    assert known.borders is not None, "long data sets have published borders"
    borders = (known.borders.train_end, known.borders.validation_end, known.borders.test_end)
    return ProtocolFingerprint(
        dataset=f"{known.info.name}, {HIDDEN:.0%} of patches of {patch_length} hidden",
        data_sha256=known.info.files[0].content_sha256, borders=borders, context_length=CONTEXT, prediction_length=0,
        seed=0, stride=FILL_STRIDE, train_windows=0,
    )  # fmt: skip


def markdown(rows: list[Row]) -> str:
    """Return a table per task."""
    parts = []
    for (task,), group in grouped(rows, "task"):
        title, text = TITLES[task]
        parts.append(f"## {title}\n\n{text}\n\n{markdown_table(table(group))}")
    return "\n\n".join(parts)


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """Return rows of one task as they are printed."""
    names = {"smape": "sMAPE", "mse": "MSE", "mae": "MAE"}
    return [
        {"data set": row["dataset"], "method": row["method"], **{names[key]: row[key] for key in names if key in row}}
        for row in rows
    ]


def main() -> None:
    """Run all rows; those that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--baselines", nargs="*", choices=["AutoETS"], default=[], help="further ones; take minutes")
    parser.add_argument("--output", default="docs/results/zero_shot")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.model)
    results = Results(
        "zero_shot", arguments, backbone, markdown, ("task", "dataset", "method"), cases=("baselines", "output")
    )
    for dataset in SHORT:
        _add(results, short_rows(dataset, backbone, "AutoETS" in arguments.baselines))
    for dataset in LONG:
        _add(results, long_rows(dataset, backbone))
    for dataset in FILLED:
        _add(results, fill_rows(dataset, backbone))


def _add(results: Results, rows: Iterator[Row]) -> None:
    for row in rows:
        if results.find(**row) is None:
            results.add(row)


if __name__ == "__main__":
    main()
