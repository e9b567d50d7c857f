"""Sets cut in time for ``benchmarks/next_period.py``: training and validation as a fit makes them, and the next period.

A cut of a long set is a segment of three channels whose last fifth is the test part. A cut of a panel of short series
is a sample of its series up to a horizon; that horizon is the test part. Training and validation are split as
``Forecaster.fit`` splits a table that ends before the test part.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np

from tracetune.data.batch_source import BatchSource, chosen_rows, spread_rows
from tracetune.data.datasets import LoadedDataset, load_dataset
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit, Part, fit_split
from tracetune.data.windows import Windows
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.forecasting.data import ForecastData, forecast_data, scale_panel

CONTEXT = 256
CHOICE = ("ETTh1", "exchange_rate", "ETTh2", "ETTm1")
CONFIRMATION = ("weather", "national_illness", "ETTm2")  # looked at after the choices were made on the others
SHORT = {"national_illness": 24}  # horizon of long sets that are too short for the one asked for
CUTS = 3
_ENDS = (0.5, 0.75, 1.0)  # of a long set, where the segments of the cuts end
_CHANNELS = 3
_SERIES = 150  # of a panel of short series
_TEST_PERIODS = 4
_TRAIN_STRIDE = 7  # of long sets; shares no divisor with a day or a week
_TRAIN_WINDOWS = 1500  # of panels, about


@dataclass(frozen=True)
class Cut:
    """One cut of a set.

    Attributes:
        horizon: H.
        data: training and validation windows.
        test: test windows.
        test_groups: their periods and items.
    """

    horizon: int
    data: ForecastData
    test: BatchSource
    test_groups: SampleGroups


def horizon_of(name: str, wanted: int) -> int:
    """Return the horizon of a set: the one ``wanted``, where the set allows it, and the published one of a panel."""
    if name in SHORT:
        return SHORT[name]
    known = load_dataset(name).info if name.startswith(("m1_", "m3_", "m4_")) else None
    return wanted if known is None else known.horizons[0]


def load_cut(name: str, horizon: int, cut: int, options: argparse.Namespace) -> Cut:
    """Read cut 0, 1 or 2 of a set, the last one the latest."""
    known = load_dataset(name)
    short = known.info.kind == "short"
    panel, tests = _short_panel(known, horizon, cut) if short else segment(name, cut, options.steps_per_cut)
    past = replace(
        panel, series=tuple(series.cut(0, part.start) for series, part in zip(panel.series, tests, strict=True))
    )
    split = fit_split(past, horizon)
    wanted = min(CONTEXT, max(horizon, CONTEXT // 4))
    least = [min(wanted, max(1, (part.stop - horizon) // 2)) for part in split.train]
    stride = _panel_stride(split, horizon, least) if short else _TRAIN_STRIDE
    data = forecast_data(past, split, CONTEXT, horizon, stride, least, options.validation_windows)
    values = scale_panel(panel, split.train, tests).values
    windows = Windows(values, CONTEXT, horizon, tests)
    rows = spread_rows(len(windows), options.test_windows, 0)
    series, channel, origin = windows.locate_rows(rows)
    if short:
        return Cut(horizon, data, chosen_rows(windows, rows.tolist()), SampleGroups(np.zeros_like(series), series))
    origins = len(panel.series[0]) - horizon + 1 - tests[0].start
    periods = (origin - tests[0].start) * _TEST_PERIODS // origins
    return Cut(horizon, data, chosen_rows(windows, rows.tolist()), SampleGroups(periods, channel))


def _panel_stride(split: PanelSplit, horizon: int, least: list[int]) -> int:
    """Return the steps between training origins at which a panel has about as many windows as are wanted."""
    windows = sum(max(part.stop - horizon - shortest + 1, 0) for part, shortest in zip(split.train, least, strict=True))
    return -(-windows // _TRAIN_WINDOWS)


def segment(name: str, cut: int, steps: int) -> tuple[Panel, list[Part]]:
    """Return the segment that ends at the cut, its channels thinned evenly, and its last fifth."""
    known = load_dataset(name)
    length = max(known.panel.lengths)
    stop = int(_ENDS[cut] * length)
    segment = known.panel.cut(max(0, stop - steps), stop)
    chosen = np.unique(np.linspace(0, len(known.panel.channels) - 1, _CHANNELS).astype(int))
    (series,) = segment.series
    series = type(series)(series.item_id, series.timestamps, series.values[chosen])
    panel = Panel((series,), tuple(known.panel.channels[index] for index in chosen), known.panel.freq)
    return panel, [Part(int(0.8 * len(series)), len(series))]


def _short_panel(known: LoadedDataset, horizon: int, cut: int) -> tuple[Panel, list[Part]]:
    """Return series that are long enough, without what comes after the cut, and the last horizon of each."""
    dropped = (CUTS - 1 - cut) * horizon
    usable = [series for series in known.panel if len(series) >= dropped + 2 * horizon + 2]
    chosen = spread_rows(len(usable), _SERIES, 0)
    cut_off = tuple(usable[index].cut(0, len(usable[index]) - dropped) for index in chosen)
    return replace(known.panel, series=cut_off), [Part(len(series) - horizon, len(series)) for series in cut_off]
