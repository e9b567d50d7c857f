"""Numbers in texts, as any program writes and reads them."""

import math
import re

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
