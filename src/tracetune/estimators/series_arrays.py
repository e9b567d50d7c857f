"""Arrays that users give as series: checks that every estimator makes.

Shapes: C channels, L steps.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, shown

logger = logging.getLogger(__name__)

_TIMES_AS_MANY, _LEAST_CHANNELS = 10, 20  # from which on channels are steps: no archive has series of such shapes
_NO_NUMBERS = {"c": "complex numbers", "M": "dates", "m": "durations"}  # NumPy would make numbers of them in silence
_TRANSPOSE = "time first, as pandas gives it, is turned by array.T, of many series by array.swapaxes(1, 2)"


def numbers_of(array: object, index: int) -> np.ndarray:
    """Return series ``index`` as float64, NaN where it is masked or has pandas' NA.

    Raises:
        InputError: it holds something else than numbers.
    """
    try:
        given = array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
        if given.dtype.kind in _NO_NUMBERS:
            raise InputError(
                f"Expected numbers in series {index}, found {_NO_NUMBERS[given.dtype.kind]}. Convert them first."
            )
        if (text := _first_text(given)) is not None:
            raise InputError(f"Expected numbers in series {index}, found the text {shown(text)}. Convert it first.")
        if isinstance(given, np.ma.MaskedArray):
            return np.asarray(np.ma.filled(given.astype(np.float64), np.nan))
        if given.dtype == object and given.ndim:
            given = np.where(pd.isna(given), np.nan, given)
        return np.asarray(given, dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected numbers in series {index}, found something else: {error}") from error


def _first_text(array: np.ndarray) -> object:
    """Return the first text in an array, None without: NumPy would take "1_000" for a number, as Python does."""
    if array.dtype.kind in "biuf":
        return None
    return next((cell for cell in array.flat if isinstance(cell, (str, bytes))), None)


def refuse_infinite(series: np.ndarray, index: int) -> None:
    """Refuse infinite values.

    Raises:
        InputError: series ``index`` has some.
    """
    if np.isinf(series).any():
        raise InputError(f"Series {index} has infinite values. Put numbers or NaN: missing values are fine.")


def question_order(shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse series whose shapes say that time comes first in them, and say so where it may.

    Some series of a panel may be short: it is judged by the one with the most steps for its channels.

    Args:
        shapes: [C, L] of each series; those of no such shape are refused elsewhere.

    Raises:
        InputError: ten times as many channels as steps, and at least twenty.
    """
    if not shapes or any(len(shape) != 2 or 0 in shape for shape in shapes):
        return
    channels, steps = min(shapes, key=lambda shape: shape[0] / shape[1])
    if channels >= max(_TIMES_AS_MANY * steps, _LEAST_CHANNELS):
        raise InputError(
            f"Expected arrays [channels, steps], found {[channels, steps]}: {channels:,} channels of {steps:,} "
            f"step{'' if steps == 1 else 's'}. Note that {_TRANSPOSE}. If there are as many channels, give a table "
            "with a column for each."
        )
    if channels > steps:
        logger.warning(
            "Arrays are [channels, steps]: this is read as %s channels of %s steps; %s.",
            f"{channels:,}",
            f"{steps:,}",
            _TRANSPOSE,
        )


def if_time_first(shape: tuple[int, ...], channels: int) -> str:
    """Return advice for an array of a shape whose first axis is not ``channels``; "" where its second is not either."""
    return f" If its {channels} channels are in the second axis: {_TRANSPOSE}." if shape[1:] == (channels,) else ""
