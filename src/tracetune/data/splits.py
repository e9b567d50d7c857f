"""Splits into training, validation and test steps, and scaling by the training steps alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tracetune.base.errors import InputError, argument, unknown_name
from tracetune.data.panels import Panel

_LARGEST = 1e300
_ROUNDING = 10 * np.finfo(np.float64).eps  # a deviation this small relative to the mean is rounding error
_MOST_DEVIATION = 2.0  # scaled; a linear trend is 2.1 away from its mean in the tenth after the steps it was fitted on


@dataclass(frozen=True)
class Borders:
    """Ends of the parts of a series, in steps from its start: train, then validation, then test."""

    train_end: int
    validation_end: int
    test_end: int

    def __post_init__(self) -> None:
        if not 0 < self.train_end <= self.validation_end <= self.test_end:
            raise InputError(
                f"Expected 0 < train_end <= validation_end <= test_end, found {self.train_end}, {self.validation_end}, "
                f"{self.test_end}."
            )

    @classmethod
    def from_fractions(cls, length: int, train: float = 0.7, test: float = 0.2) -> "Borders":
        """Return borders of ``length`` steps as the long-horizon literature cuts them.

        Train and test lengths are rounded down; validation is the rest.
        """
        if not (train > 0 and test >= 0 and train + test <= 1):
            raise InputError(f"Expected fractions of at most 1 in all, found train={train} and test={test}.")
        return cls(int(length * train), length - int(length * test), length)


class Part(NamedTuple):
    """The targets ``[start, stop)`` of one series that belong to one part.

    A window belongs to the part if all of its H target steps lie inside; its look-back may reach into the part before.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class PanelSplit:
    """For each part, its range of targets in every series of a panel, in the panel's order; empty where it has none."""

    train: tuple[Part, ...]
    validation: tuple[Part, ...]
    test: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class DividedPanel:
    """Series whose parts are given.

    Attributes:
        panel: all series.
        split: which steps of each series train, validate and test.
        min_context: admits training windows with that few real context steps, of every series or of each; None wants
            full contexts.
    """

    panel: Panel
    split: PanelSplit
    min_context: int | Sequence[int] | None = None


def split_panel(
    panel: Panel, borders: Borders | None = None, *, train_fraction: float = 0.7, test_fraction: float = 0.2
) -> PanelSplit:
    """Cut every series at ``borders``, or by fractions of its own length if None.

    Raises:
        InputError: a series is shorter than the borders.
    """
    parts = []
    for series in panel:
        cuts = borders or Borders.from_fractions(len(series), train_fraction, test_fraction)
        if len(series) < cuts.test_end:
            raise InputError(
                f"The split needs {cuts.test_end} steps, but item {series.item_id!r} has {len(series)}. "
                "Give borders that fit, or leave them out to cut by fractions."
            )
        parts.append(
            (
                Part(0, cuts.train_end),
                Part(cuts.train_end, cuts.validation_end),
                Part(cuts.validation_end, cuts.test_end),
            )
        )
    return _by_part(parts)


_SHARES = {"rolling": 0.2, "last": 0.1}  # of each series
_MOST_PERIODS = 5
_FEW = 20  # with fewer series, the noise between them says little


def fit_split(
    panel: Panel, prediction_length: int, validation: str = "rolling", validation_fraction: float | None = None
) -> PanelSplit:
    """Keep the end of each series for validation, at least one horizon H of it; there is no test part.

    All training targets come before all validation targets of their series, so that no training window contains a
    validation value, neither as a target nor as context. A series that is too short to leave a horizon and one step of
    context for training too is used for training only.

    Args:
        panel: the series.
        prediction_length: H.
        validation: "rolling" keeps a fifth, enough for several periods (see `cut_periods`), in panels of a few
            series up to a third for the sake of three of them; "last" a tenth, as one stretch.
        validation_fraction: another share; None for these.

    Raises:
        InputError: an unknown name, a share that is none, or no series is long enough to be validated on.
    """
    if validation not in _SHARES:
        raise unknown_name("validation", validation, _SHARES)
    share = _SHARES[validation] if validation_fraction is None else validation_fraction
    if not 0 < share < 1:
        raise InputError(f"Expected a validation_fraction between 0 and 1, found {share}.")
    needed = 2 * prediction_length + 1
    if max(panel.lengths) < needed:
        raise InputError(
            "No series is long enough for training and validation with "
            f"{argument('prediction_length', prediction_length)}: {needed} steps are needed, the longest has "
            f"{max(panel.lengths)}. Use a shorter {argument('prediction_length')}, or give a validation table."
        )
    few = validation == "rolling" and validation_fraction is None and len(panel) < _FEW
    parts = []
    for length in panel.lengths:
        wanted = max(prediction_length, int(length * share))
        if few:
            wanted = max(wanted, min(3 * prediction_length, length // 3))
        held_out = min(wanted, length - prediction_length - 1) if length >= needed else 0
        train_end = length - held_out
        parts.append((Part(0, train_end), Part(train_end, length), Part(length, length)))
    return _by_part(parts)


def cut_periods(ranges: Sequence[Part], prediction_length: int) -> list[tuple[Part, ...]]:
    """Cut each range of targets into consecutive periods of equal length, at most five, none shorter than H.

    A period is one and a half horizons or longer, so that it has windows at several times of day; shorter where a few
    series would have less than three of them. Windows belong to the period in which all their targets lie: periods
    share no target.

    Returns:
        One entry a period, the latest last, each with a range for every series. Series with fewer periods than others
        have their latest ones; the others are empty.
    """
    lengths = [part.stop - part.start for part in ranges]
    least = 3 if sum(length >= prediction_length for length in lengths) < _FEW else 1
    counts = [_period_count(length, prediction_length, least) for length in lengths]
    most = max(counts, default=0)
    periods: list[list[Part]] = [[] for _ in range(most)]
    for part, count in zip(ranges, counts, strict=True):
        borders = np.linspace(part.start, part.stop, count + 1).astype(int).tolist() if count else []
        for place, period in enumerate(periods):
            index = place - (most - count)
            period.append(Part(borders[index], borders[index + 1]) if index >= 0 else Part(part.stop, part.stop))
    return [tuple(period) for period in periods]


def _period_count(length: int, prediction_length: int, least: int) -> int:
    """Return how many periods a range has; fewer than ``least`` only where not so many horizons fit."""
    return min(max(2 * length // (3 * prediction_length), min(least, length // prediction_length)), _MOST_PERIODS)


def require_magnitude(values: np.ndarray, name: str) -> None:
    """Refuse values [C, L] whose differences or forecasts could exceed the largest number there is.

    Raises:
        InputError: one is beyond 1e300; ``name`` says of which series.
    """
    if np.abs(np.where(np.isnan(values), 0.0, values)).max(initial=0.0) > _LARGEST:
        raise InputError(
            f"Expected values of at most {_LARGEST:.0e} in magnitude, found larger ones in {name}. "
            "Divide the series by a constant first."
        )


@dataclass(frozen=True, eq=False)
class Scaler:
    """Mean and scale per channel; a constant or unobserved channel has scale 1.

    Attributes:
        mean: [C].
        scale: [C], the population standard deviation, or more, see `fit`.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        start: int | None = None,
        stop: int | None = None,
        counted: tuple[int, int] | None = None,
    ) -> "Scaler":
        """Fit on ``values[:, start:stop]`` of an array [C, L]; missing values are left out.

        Args:
            values: [C, L], NaN where missing.
            start: first step to fit on.
            stop: step after the last one.
            counted: a range whose errors will be summed with those of other series. It bounds the weight of a series
                that leaves its former level: the scale is at least half of the root mean square by which the values of
                the range differ from the mean, so that a forecast of the mean has an error of 4 at most. A channel
                without any value to fit on is scaled by this range alone.
        """
        part = np.asarray(values, dtype=np.float64)[:, start:stop]
        mean, scale = _moments(part)
        if counted is not None:
            range_ = np.asarray(values, dtype=np.float64)[:, counted[0] : counted[1]]
            unseen = np.isnan(part).all(axis=1)
            mean, scale = (
                np.where(unseen, late, early) for late, early in zip(_moments(range_), (mean, scale), strict=True)
            )
            scale = np.maximum(scale, _deviation(range_, mean) / _MOST_DEVIATION)
        varies = scale > _ROUNDING * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale an array [..., C, L]; NaN stays NaN."""
        return (values - self.mean[:, None]) / self.scale[:, None]

    def inverse_transform(self, values: np.ndarray) -> np.ndarray:
        """Undo `transform` for an array [..., C, L]."""
        return values * self.scale[:, None] + self.mean[:, None]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the content for a JSON file."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "Scaler":
        """Return the scaler that `to_dict` described."""
        return cls(np.asarray(content["mean"], dtype=np.float64), np.asarray(content["scale"], dtype=np.float64))


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and deviation of each channel of an array [C, L], missing values left out."""
    observed = ~np.isnan(values)
    exponent = _exponent(values)
    unit = np.ldexp(np.where(observed, values, 0.0), -exponent[:, None])
    mean = np.ldexp(unit.sum(axis=1) / np.maximum(observed.sum(axis=1), 1), exponent)
    return mean, _deviation(values, mean)


def _deviation(values: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the root mean square distance of each channel of [C, L] from its mean [C], missing values left out."""
    observed = ~np.isnan(values)
    distances = np.where(observed, values - mean[:, None], 0.0)
    exponent = _exponent(distances)
    squares = np.ldexp(distances, -exponent[:, None]) ** 2
    return np.ldexp(np.sqrt(squares.sum(axis=1) / np.maximum(observed.sum(axis=1), 1)), exponent)


def _exponent(values: np.ndarray) -> np.ndarray:
    """Return the power of two [C] just above the largest magnitude of each channel of an array [C, L].

    Divided by it, no magnitude overflows or vanishes when it is summed or squared, and no bit of a result changes.
    """
    largest = np.abs(np.where(np.isnan(values), 0.0, values)).max(axis=1, initial=0.0)
    return np.frexp(largest)[1]


def _by_part(parts: Sequence[tuple[Part, Part, Part]]) -> PanelSplit:
    train, validation, test = zip(*parts, strict=True)
    return PanelSplit(train, validation, test)
