"""Arrays that users give as series: checks that every estimator makes."""

import numpy as np

from tracetune.base.errors import InputError


def numbers_of(array: object, index: int) -> np.ndarray:
    """Return series ``index`` as float64.

    Raises:
        InputError: it holds something else than numbers.
    """
    try:
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected numbers in series {index}, found something else: {error}") from error


def refuse_infinite(series: np.ndarray, index: int) -> None:
    """Refuse infinite values.

    Raises:
        InputError: series ``index`` has some.
    """
    if np.isinf(series).any():
        raise InputError(f"Series {index} has infinite values. Put numbers or NaN: missing values are fine.")
