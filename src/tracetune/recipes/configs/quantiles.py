"""Quantile levels as they stand on the command line."""

from collections.abc import Sequence

from tracetune.base.errors import InputError


def level_numbers(quantiles: Sequence[str]) -> list[float]:
    """Return the levels as numbers.

    Raises:
        InputError: one is not a number.
    """
    try:
        return [float(level) for level in quantiles]
    except ValueError as error:
        raise InputError(f"Expected quantiles such as 0.1,0.9, found {list(quantiles)}.") from error
