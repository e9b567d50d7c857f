"""Columns of a table with a series in each row: which are steps, of which channel, in which order."""

import re
from collections.abc import Sequence

from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import RawTable, listed

LEAST_STEPS = 4  # columns of a table with a series in each row
_STEP_NAME = re.compile(r"([A-Za-z_ .-]*)(\d+)")  # t0, step 1, 2, -2


def is_numbered(name: str) -> bool:
    """Return whether a column is called as steps are: a number, or a word and a number."""
    return _STEP_NAME.fullmatch(name) is not None


def step_columns(raw: RawTable, options: ReadingOptions, like: Sequence[str]) -> list[list[str]]:
    """Return the columns of the steps of each channel.

    Numbered ones are in the order of their numbers, wherever they stand; those of one word before the number (x0, x1,
    ..., y0, y1, ...) are one channel. Other columns are left out then. Where none are numbered, all columns but the
    item are steps, in their order.

    Args:
        raw: the cells.
        options: ``id_column``, and ``target`` for the steps of one channel.
        like: the columns of a table that was read before.

    Raises:
        InputError: columns are missing, or channels are not of one length.
    """
    names = [str(name) for name in raw.frame.columns if name not in options.id_column]
    known = _numbered(like)
    if exact := list(options.target or ([] if known else like)):
        if missing := [name for name in exact if name not in names]:
            raise InputError(f"Expected steps in {listed('column', missing)}, found {listed('column', names)}.")
        return [exact]
    found = _numbered(names)
    if missing := [columns[0] for word, columns in known.items() if word not in found]:
        raise InputError(f"Expected steps in columns named like {missing[0]!r}, found {listed('column', names)}.")
    channels = [found[word] for word in known or found] or [names]
    if len(sizes := {len(steps) for steps in channels}) > 1:
        counts = ", ".join(f"{len(steps)} columns like {steps[0]!r}" for steps in channels)
        raise InputError(
            f"Expected as many steps of each channel, found {counts}. Make them {max(sizes)} each, with empty cells "
            "where a series has ended, or leave columns out."
        )
    return channels


def _numbered(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the numbered columns by the word before their numbers, in the order of those; words with few are none."""
    numbers: dict[str, dict[str, int]] = {}
    for name in names:
        if match := _STEP_NAME.fullmatch(name):
            negative = match[1] == "-"
            numbers.setdefault("" if negative else match[1], {})[name] = -int(match[2]) if negative else int(match[2])
    return {word: sorted(found, key=found.__getitem__) for word, found in numbers.items() if len(found) >= LEAST_STEPS}
