"""Numbers in texts, as any program writes and reads them."""

import math
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.ASCII | re.IGNORECASE)


def plain_number(text: str) -> float | None:
    """Return the finite number that a text spells: digits 0 to 9, a point, an exponent, blanks around; None without.

    Python's ``float`` takes more, which elsewhere is text or a slip: ``1_000``, digits of other scripts, ``infinity``,
    ``nan``, and ``1e999`` for an infinity.

    >>> plain_number("-1.5e3"), plain_number("1_000"), plain_number("nan")
    (-1500.0, None, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def spelled_number(text: str, kinds: Sequence[type[int] | type[float]]) -> int | float | str:
    """Return the number that ``text`` spells in the first of ``kinds`` that has it; else the text.

    >>> spelled_number("12", (int, float)), spelled_number("1e-3", (int, float)), spelled_number("auto", (int, float))
    (12, 0.001, 'auto')
    """
    if plain_number(text) is None:
        return text
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    return text
