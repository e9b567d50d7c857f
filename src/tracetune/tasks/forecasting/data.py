"""Forecasting data: series scaled by their training part, and the windows of each part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracetune.base.errors import InputError, argument
from tracetune.data.batch_source import OtherRows, chosen_rows, spread_rows
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit, Part, Scaler, cut_periods, require_magnitude
from tracetune.data.windows import Windows, first_origin
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.task import TrainingData


@dataclass(frozen=True)
class ScaledPanel:
    """Series of a panel, each channel scaled by a range of its own series.

    Scaling makes the losses of series of any magnitude comparable; forecasts are mapped back.

    Attributes:
        values: one [C, L] float32 array a series, NaN where missing.
        scalers: one a series.
    """

    values: tuple[np.ndarray, ...]
    scalers: tuple[Scaler, ...]


def scale_panel(
    panel: Panel,
    ranges: Sequence[tuple[int, int]] | None = None,
    counted: Sequence[tuple[int, int]] | None = None,
) -> ScaledPanel:
    """Scale every series by mean and deviation of its range (start, stop); None takes all of it.

    Args:
        panel: the series.
        ranges: what the scalers are fitted on.
        counted: ranges over which errors of all series will be summed: they bound the weight of each, see `Scaler.fit`.
            None leaves it as it is, as the literature does.

    Raises:
        InputError: a value beyond 1e300.
    """
    for series in panel:
        require_magnitude(series.values, f"item {series.item_id!r}")
    whole = [(0, length) for length in panel.lengths]
    fitted = whole if ranges is None else ranges
    bounds = [None] * len(panel) if counted is None else counted
    scalers = tuple(
        Scaler.fit(series.values, *bounds_of_fit, counted=bound)
        for series, bounds_of_fit, bound in zip(panel.series, fitted, bounds, strict=True)
    )
    values = tuple(
        scaler.transform(series.values).astype(np.float32) for series, scaler in zip(panel.series, scalers, strict=True)
    )
    return ScaledPanel(values, scalers)


@dataclass(frozen=True)
class WindowCounts:
    """Counts of training and validation windows, and of those left out.

    Attributes:
        series: how many there are.
        training_series: how many of them give training windows.
        validation_series: how many of them give validation windows.
        training_windows: how many train.
        validation_windows: how many validate.
        possible_validation_windows: out of how many they were drawn.
        validation_periods: in how many periods they lie.
        windows_without_values: left out, because no target was observed, or nothing before it.
    """

    series: int
    training_series: int
    validation_series: int
    training_windows: int
    validation_windows: int
    possible_validation_windows: int
    validation_periods: int
    windows_without_values: int

    def describe(self) -> str:
        """Return one or two lines for people."""
        drawn = self.validation_windows < self.possible_validation_windows
        out_of = f" of {self.possible_validation_windows:,}" if drawn else ""
        text = (
            f"{self.training_series:,} of {self.series:,} series train ({self.training_windows:,} windows), "
            f"{self.validation_series:,} validate ({self.validation_windows:,}{out_of} windows in "
            f"{self.validation_periods} {'period' if self.validation_periods == 1 else 'periods'})."
        )
        idle = self.series - self.training_series
        if idle:
            text += f" {idle:,} do not train: too short, without values, or there to validate only."
        if self.windows_without_values:
            text += f" {self.windows_without_values:,} windows without observed values are left out."
        return text


@dataclass(frozen=True)
class ForecastData(TrainingData):
    """Training and validation windows of one panel, validation windows of the earliest period first.

    Attributes:
        counts: how many there are of each; None where they were not counted.
        disjoint_windows: how many validation windows there are that share no target: blocks of H steps, of each series
            and channel, that origins lie in; None where they were not counted.
    """

    counts: WindowCounts | None = None
    disjoint_windows: int | None = None


def forecast_data(
    panel: Panel,
    split: PanelSplit,
    context_length: int,
    prediction_length: int,
    stride: int = 1,
    min_context: int | Sequence[int] | None = None,
    validation_windows: int | None = None,
    *,
    rolling: bool = True,
    seed: int = 0,
) -> ForecastData:
    """Return windows of a split panel; the scaler sees the training ranges only.

    Args:
        panel: the series.
        split: ranges of target steps of each part.
        context_length: T.
        prediction_length: H.
        stride: steps between the origins of training windows.
        min_context: least number of real context steps in a training window, one number or one a series; None for
            full contexts where they fit.
        validation_windows: most validation windows, drawn from all periods, items and times of day alike; None keeps
            all.
        rolling: whether the validation range of each series is cut into periods, see `cut_periods`; otherwise it is
            one.
        seed: fixes which validation windows are drawn.

    Raises:
        InputError: no window fits, no value is observed in a part, or a number is below 1.
    """
    if validation_windows is not None and validation_windows < 1:
        raise InputError(f"Expected {argument('validation_windows')} of at least 1, found {validation_windows}.")
    scaled = scale_panel(panel, split.train, split.validation)
    require_observed(scaled.values, split.train, "training")
    require_observed(scaled.values, split.validation, "validation")
    train = Windows(scaled.values, context_length, prediction_length, split.train, stride, min_context)
    left_out = train.without_values()
    validation = _ValidationWindows.over(scaled.values, split.validation, context_length, prediction_length, rolling)
    rows = validation.draw(validation_windows, seed)
    counts = _counts(train, left_out, validation, rows)
    for part, windows in (("training", counts.training_windows), ("validation", counts.validation_windows)):
        if not windows:
            raise _nothing_observed(part)
    series, channel, period = validation.locate(rows)
    return ForecastData(
        train=OtherRows(train, left_out) if len(left_out) else train,
        validation=chosen_rows(validation.windows, rows.tolist()),
        groups=SampleGroups.of_channels(period, series, channel),
        counts=counts,
        disjoint_windows=validation.disjoint(rows),
    )


def _counts(train: Windows, left_out: np.ndarray, validation: "_ValidationWindows", rows: np.ndarray) -> WindowCounts:
    """Return how many windows there are: training ones but for ``left_out``, and ``rows`` of the validation ones."""
    series, _, period = validation.locate(rows)
    idle = np.bincount(train.locate_rows(left_out)[0], minlength=validation.series)
    return WindowCounts(
        series=validation.series,
        training_series=int((train.per_series() > idle).sum()),
        validation_series=len(np.unique(series)),
        training_windows=len(train) - len(left_out),
        validation_windows=len(rows),
        possible_validation_windows=len(validation.kept),
        validation_periods=len(np.unique(period)),
        windows_without_values=len(left_out) + len(validation.windows) - len(validation.kept),
    )


@dataclass(frozen=True, eq=False)
class _ValidationWindows:
    """All validation windows, period by period.

    Attributes:
        windows: over every series once a period.
        kept: those that have values.
        series: how many there are.
    """

    windows: Windows
    kept: OtherRows
    series: int

    @classmethod
    def over(
        cls,
        values: Sequence[np.ndarray],
        ranges: Sequence[Part],
        context_length: int,
        prediction_length: int,
        rolling: bool,
    ) -> "_ValidationWindows":
        """Return the windows of these ranges, whose targets lie in one period each."""
        lengths = (context_length, prediction_length)
        usable = [Part(min(first_origin(*part, *lengths), part.stop), part.stop) for part in ranges]
        periods = cut_periods(usable, prediction_length) if rolling else []
        periods = periods or [tuple(usable)]
        windows = Windows(list(values) * len(periods), *lengths, [part for period in periods for part in period])
        return cls(windows, OtherRows(windows, windows.without_values()), len(values))

    def draw(self, count: int | None, seed: int) -> np.ndarray:
        """Return the rows of at most ``count`` windows, spread over all."""
        size = len(self.kept)
        return self.kept.rows_of(spread_rows(size, size if count is None else count, seed))

    def disjoint(self, rows: np.ndarray) -> int:
        """Return in how many blocks of H steps, of each series and channel, the origins of windows lie."""
        place, channel, origin = self.windows.locate_rows(rows)
        blocks = np.stack([place % self.series, channel, origin // self.windows.prediction_length])
        return np.unique(blocks, axis=1).shape[1]

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return series, channel and period of windows."""
        place, channel, _ = self.windows.locate_rows(rows)
        period, series = np.divmod(place, self.series)
        return series, channel, period


def require_observed(values: Sequence[np.ndarray], ranges: Sequence[tuple[int, int]], part: str) -> None:
    """Raise InputError if every value [C, L] of every series is missing in its range."""
    if all(np.isnan(array[:, start:stop]).all() for array, (start, stop) in zip(values, ranges, strict=True)):
        raise _nothing_observed(part)


def _nothing_observed(part: str) -> InputError:
    return InputError(
        f"Every value of the {part} part is missing: nothing can be learned or measured there. Leave out the empty "
        "end of the series, or give data with values in that part."
    )
