"""Arrays that users give as series: checks that every estimator makes."""

import numpy as np

from tracetune.base.errors import InputError, shown


def numbers_of(array: object, index: int) -> np.ndarray:
    """Return series ``index`` as float64.

    Raises:
        InputError: it holds something else than numbers.
    """
    try:
        if (text := _first_text(np.asarray(array))) is not None:
            raise InputError(f"Expected numbers in series {index}, found the text {shown(text)}. Convert it first.")
        return np.asarray(array, dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected numbers in series {index}, found something else: {error}") from error


def _first_text(array: np.ndarray) -> object:
    """Return the first text in an array, None without: NumPy would take "1_000" for a number, as Python does."""
    if array.dtype.kind in "biufcmM":
        return None
    return next((cell for cell in array.flat if isinstance(cell, (str, bytes))), None)


def refuse_infinite(series: np.ndarray, index: int) -> None:
    """Refuse infinite values.

    Raises:
        InputError: series ``index`` has some.
    """
    if np.isinf(series).any():
        raise InputError(f"Series {index} has infinite values. Put numbers or NaN: missing values are fine.")
