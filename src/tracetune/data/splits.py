"""Which steps are for training, validation and test, and the scaling that only the training steps may decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.frames import Panel

_ROUNDING = 10 * np.finfo(np.float64).eps  # a deviation this small beside the mean is rounding, not variation


@dataclass(frozen=True)
class Borders:
    """Where the parts of a series end, in steps from its start: train, then validation, then test."""

    train_end: int
    validation_end: int
    test_end: int

    def __post_init__(self) -> None:
        if not 0 < self.train_end <= self.validation_end <= self.test_end:
            raise InputError(
                "Expected 0 < train_end <= validation_end <= test_end, found "
                f"{self.train_end}, {self.validation_end}, {self.test_end}."
            )

    @classmethod
    def from_lengths(cls, train: int, validation: int, test: int) -> "Borders":
        """Borders of three parts of these lengths."""
        return cls(train, train + validation, train + validation + test)

    @classmethod
    def from_fractions(cls, length: int, train: float = 0.7, test: float = 0.2) -> "Borders":
        """Borders of ``length`` steps as the long-horizon literature cuts them.

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


def split_panel(
    panel: Panel, borders: Borders | None = None, *, train_fraction: float = 0.7, test_fraction: float = 0.2
) -> PanelSplit:
    """Cut every series at ``borders``, or by fractions of its own length if None.

    Raises:
        InputError: a series is shorter than the borders.
    """
    parts = []
    for series in panel:
        own = borders or Borders.from_fractions(len(series), train_fraction, test_fraction)
        if len(series) < own.test_end:
            raise InputError(
                f"The split needs {own.test_end} steps, but item {series.item_id!r} has {len(series)}. "
                "Give borders that fit, or leave them out to cut by fractions."
            )
        parts.append(
            (
                Part(0, own.train_end),
                Part(own.train_end, own.validation_end),
                Part(own.validation_end, own.test_end),
            )
        )
    return _by_part(parts)


def fit_split(panel: Panel, prediction_length: int, validation_fraction: float = 0.1) -> PanelSplit:
    """Keep the end of each series for validation, at least one horizon H of it; there is no test part.

    A series that is too short to leave a horizon and one step of context for training too is used for training only.

    Raises:
        InputError: no series is long enough to be validated on.
    """
    if not 0 < validation_fraction < 1:
        raise InputError(f"Expected a validation_fraction between 0 and 1, found {validation_fraction}.")
    needed = 2 * prediction_length + 1
    if max(panel.lengths) < needed:
        raise InputError(
            f"No series is long enough for training and validation with prediction_length={prediction_length}: "
            f"{needed} steps are needed, the longest has {max(panel.lengths)}. Use a shorter prediction_length, "
            "or give a validation table."
        )
    parts = []
    for length in panel.lengths:
        wanted = max(prediction_length, int(length * validation_fraction))
        held_out = min(wanted, length - prediction_length - 1) if length >= needed else 0
        train_end = length - held_out
        parts.append((Part(0, train_end), Part(train_end, length), Part(length, length)))
    return _by_part(parts)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Mean and scale per channel; a constant or unobserved channel has scale 1, so nothing ever divides by zero.

    Attributes:
        mean: [C].
        scale: [C], the population standard deviation.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, start: int | None = None, stop: int | None = None) -> "Scaler":
        """Fit on ``values[:, start:stop]`` of an array [C, L]; missing values are left out."""
        part = np.asarray(values, dtype=np.float64)[:, start:stop]
        observed = ~np.isnan(part)
        count = np.maximum(observed.sum(axis=1), 1)
        mean = np.where(observed, part, 0.0).sum(axis=1) / count
        deviation = np.where(observed, part - mean[:, None], 0.0)
        scale = np.sqrt((deviation**2).sum(axis=1) / count)
        varies = scale > _ROUNDING * np.abs(mean)
        return cls(mean, np.where(varies, scale, 1.0))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Scale an array [..., C, L]; NaN stays NaN."""
        return (values - self.mean[:, None]) / self.scale[:, None]

    def inverse_transform(self, values: np.ndarray) -> np.ndarray:
        """Undo `transform` for an array [..., C, L]."""
        return values * self.scale[:, None] + self.mean[:, None]

    def to_dict(self) -> dict[str, list[float]]:
        """Content for a JSON file."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Scaler":
        """The scaler that `to_dict` described."""
        return cls(np.asarray(content["mean"], dtype=np.float64), np.asarray(content["scale"], dtype=np.float64))


def _by_part(parts: Sequence[tuple[Part, Part, Part]]) -> PanelSplit:
    train, validation, test = zip(*parts, strict=True)
    return PanelSplit(train, validation, test)
