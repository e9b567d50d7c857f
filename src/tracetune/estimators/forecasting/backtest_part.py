"""The part of a panel that a backtest forecasts: one that is given, or the end of every series."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel
from tracetune.data.splits import DividedPanel

_ORIGINS = 5  # by default
Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class BacktestPart:
    """The part of a panel that is forecast and measured.

    Attributes:
        panel: all series, targets included.
        ranges: target steps (start, stop) of every series.
        scaler_ranges: the steps whose deviation is the unit of pooled errors, and whose seasonal naive error is that
            of ``mase``.
        counted: where a series leaves its former level, these steps bound its weight in pooled errors, see
            `Scaler.fit`; None for the plain deviation, as in the literature.
        stride: steps between origins.
        season: steps of one season, for the naive forecast and ``mase``.
    """

    panel: Panel
    ranges: Ranges
    scaler_ranges: Ranges
    counted: Ranges | None
    stride: int
    season: int

    def __post_init__(self) -> None:
        if self.season < 1:
            raise InputError(f"Expected {argument('season')} of at least 1 step (1: none), found {self.season}.")

    def before(self) -> Panel:
        """Return the steps before the first target of each series, of those that have any."""
        cut = (series.cut(None, start) for series, (start, _) in zip(self.panel, self.ranges, strict=True) if start > 0)
        return replace(self.panel, series=tuple(cut))


def backtest_part(
    series: Panel | DividedPanel,
    prediction_length: int,
    test_length: int | None,
    stride: int | None,
    season: int | None,
) -> BacktestPart:
    """Return the test part of a panel whose parts are given, or else the end of every series.

    Raises:
        InputError: a number out of range, or no series is longer than its targets.
    """
    if isinstance(series, DividedPanel):
        return _known_part(series, stride, season)
    return last_part(series, prediction_length, test_length, stride, season)


def _known_part(parts: DividedPanel, stride: int | None, season: int | None) -> BacktestPart:
    """Return the test part of a panel whose parts are given, at every origin if no stride is given.

    Errors are in units of the deviation of the training part, as in the literature.
    """
    panel, split = parts.panel, parts.split
    season = seasonality(panel.freq) if season is None else season
    return BacktestPart(panel, split.test, split.train, None, 1 if stride is None else stride, season)


def last_part(
    panel: Panel, prediction_length: int, test_length: int | None, stride: int | None, season: int | None
) -> BacktestPart:
    """Return the end of every series as its test part.

    Without ``test_length`` there are five origins, fewer in short series: at most the last third is forecast, but one
    horizon at least. Without ``stride`` the next horizon begins about where the last one ended, at another step of the
    season, so that the origins do not share an hour of the day.

    Raises:
        InputError: a number out of range, or no series is longer than its targets.
    """
    season = seasonality(panel.freq) if season is None else season
    ranges, stride = _last_ranges(panel, prediction_length, season, test_length, stride)
    return BacktestPart(panel, ranges, [(0, start) for start, _ in ranges], ranges, stride, season)


def _last_ranges(
    panel: Panel, prediction_length: int, season: int, test_length: int | None, stride: int | None
) -> tuple[list[tuple[int, int]], int]:
    """Return the target steps of every series (start, stop), and the stride between origins."""
    if stride is None:
        stride = next(step for step in range(prediction_length, 0, -1) if math.gcd(step, season) == 1)
    if stride < 1:
        raise InputError(f"Expected {argument('stride')} of at least 1, found {stride}.")
    longest = max(panel.lengths)
    if test_length is not None and test_length < prediction_length:
        raise InputError(
            f"Expected {argument('test_length')} of at least the horizon, {prediction_length}, found {test_length}."
        )
    if (test_length or prediction_length) >= longest:
        said = argument("prediction_length") if test_length is None else argument("test_length")
        raise InputError(
            f"Expected {said} below the longest series, {longest} steps, found {test_length or prediction_length}: "
            "nothing would be left to forecast from."
        )
    if test_length is not None:
        return [(max(length - test_length, 1), length) for length in panel.lengths], stride
    spans = (min((length // 3 - prediction_length) // stride, _ORIGINS - 1) for length in panel.lengths)
    tests = [prediction_length + max(span, 0) * stride for span in spans]
    return [(max(length - test, 1), length) for length, test in zip(panel.lengths, tests, strict=True)], stride
