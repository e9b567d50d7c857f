"""Quantile levels as they stand on the command line."""

from collections.abc import Sequence

from tracetune.base.errors import InputError, argument, shown
from tracetune.base.plain_numbers import plain_number


def level_numbers(quantiles: Sequence[str]) -> list[float]:
    """Return the levels as numbers.

    Raises:
        InputError: one is not a number.
    """
    levels = [plain_number(level) for level in quantiles]
    numbers = [level for level in levels if level is not None]
    if len(numbers) < len(levels):
        raise InputError(f"Expected {argument('quantiles')} such as 0.1,0.9, found {shown(','.join(quantiles))}.")
    return numbers
