"""The one error class users see, and the words in which it speaks to Python and to the command line.

What is an argument in Python is a flag on the command line. A message names it by `argument`, and any other
words that differ by `either`; both leave a mark in the text, and `InputError` renders it:

    raise InputError(f"Expected {argument('stride')} of at least 1, found {stride}. Use {argument('stride', 1)}.")

    Python:        Expected stride of at least 1, found 0. Use stride=1.
    command line:  Expected --stride of at least 1, found 0. Use --stride 1.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_LONGEST_MESSAGE = 1900
_LONGEST_NAME = 200
# Characters of Unicode's private use area, which no text of a user contains.
_MARK = re.compile("\ue000([^\ue000-\ue002]*)\ue001([^\ue000-\ue002]*)\ue002")


class InputError(ValueError):
    """Wrong use or unusable input: says what was expected, what was found, and what to do.

    The command line maps it to exit status 2; every other exception is a failure (status 1). As text it speaks of
    Python's arguments; the middle of a message that is too long to read is left out.

    >>> error = InputError(f"Expected {argument('stride')} of at least 1, found 0. Use {argument('stride', 1)}.")
    >>> print(error)
    Expected stride of at least 1, found 0. Use stride=1.
    >>> print(error.for_command_line())
    Expected --stride of at least 1, found 0. Use --stride 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message

    def __str__(self) -> str:
        return _shortened(_MARK.sub(r"\1", self._message), _LONGEST_MESSAGE)

    def for_command_line(self) -> str:
        """Return the message in the words of the command line."""
        return _shortened(_MARK.sub(r"\2", self._message), _LONGEST_MESSAGE)


class Remark(str):
    """A message that is no error: as text it speaks of Python's arguments."""

    _error: InputError

    def __new__(cls, message: str) -> "Remark":
        """Return the remark that ``message`` makes; it may hold marks of `argument` and `either`."""
        error = InputError(message)
        remark = super().__new__(cls, str(error))
        remark._error = error
        return remark

    def for_command_line(self) -> str:
        """Return the message in the words of the command line."""
        return self._error.for_command_line()


def either(python: str, command_line: str) -> str:
    """Return words of a message that differ: ``python`` in the error's text, ``command_line`` on the command line."""
    return f"\ue000{python}\ue001{command_line}\ue002"


def argument(name: str, value: object = None, *, flag: str | None = None) -> str:
    """Return the argument ``name`` in a message, as an assignment where a value is given.

    Args:
        name: in Python.
        value: what it is set to; True and False become a switch on the command line, and several values, a list in
            Python, stand there with commas between them.
        flag: its name on the command line, where that is not ``name`` with dashes.
    """
    option = flag or "--" + name.replace("_", "-")
    if value is None:
        return either(name, option)
    if isinstance(value, bool):
        return either(f"{name}={value}", option if value else option.replace("--", "--no-", 1))
    if isinstance(value, (list, tuple)):
        return either(f"{name}={list(value)!r}", f"{option} {shlex.quote(','.join(map(str, value)))}")
    return either(f"{name}={value!r}", f"{option} {shlex.quote(str(value))}")


def any_of(name: str, values: Iterable[object], most: int = 4) -> str:
    """Return the argument with each of ``values``, as alternatives: ``target='a' or target='b'``."""
    every = list(values)
    listed = " or ".join(argument(name, value) for value in every[:most])
    return listed + (f" (or another of {len(every)})" if len(every) > most else "")


def shown(value: object, length: int = 80) -> str:
    """Return a value as it stands in a message: its ``repr``, cut to ``length`` characters; NumPy's as Python's."""
    of_numpy = hasattr(value, "item") and getattr(value, "ndim", None) == 0
    plain = value.item() if of_numpy else value  # type: ignore[attr-defined]
    return _shortened(repr(plain), length)


def unknown_name(kind: str, name: str, known: Iterable[str], nearest: Sequence[str] | None = None) -> InputError:
    """Return the error for a name that is not in a registry, with the nearest names and all that exist.

    Args:
        kind: what was looked up, e.g. ``"method"``; begins the message.
        name: the name as given.
        known: every name that would have worked.
        nearest: those that may have been meant; None looks for names that look alike.
    """
    names = sorted(known)
    close = nearest_names(name, names) if nearest is None else nearest
    hint = f" Did you mean {' or '.join(repr(n) for n in close)}?" if close else ""
    return InputError(f"Unknown {kind} {shown(name)}.{hint} Known: {', '.join(names)}.")


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three of the ``known`` names that look like ``name``, the nearest first."""
    # "moment" is near "AutonLab/MOMENT-1-small": case and owner of a name may be left out.
    spellings = {spelling: n for n in known for spelling in (n.lower().rpartition("/")[2], n.lower())}
    close = get_close_matches(name[:_LONGEST_NAME].lower(), spellings, n=3, cutoff=0.5)
    return list(dict.fromkeys(spellings[spelling] for spelling in close))


def _shortened(text: str, length: int) -> str:
    """Return ``text``, its middle left out where it is longer than ``length``: the end of a message says what to do."""
    if len(text) <= length:
        return text
    kept = length - len(" ... ")
    return f"{text[: kept - kept // 3]} ... {text[-(kept // 3) :]}"
