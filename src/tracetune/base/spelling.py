"""Options in messages, and messages that speak to Python and to the command line without being errors."""

import shlex
from collections.abc import Iterable

from tracetune.base.errors import InputError, either


def option(name: str, value: object = None) -> str:
    """Return option ``name``, set to ``value`` where one is given, for a message; see `either`.

    Several values are a list in Python, and stand with commas between them on the command line.
    """
    flag = "--" + name.replace("_", "-")
    if value is None:
        return either(name, flag)
    if isinstance(value, bool):
        return either(f"{name}={value}", flag if value else flag.replace("--", "--no-", 1))
    if isinstance(value, (list, tuple)):
        return either(f"{name}={list(value)!r}", f"{flag} {shlex.quote(','.join(map(str, value)))}")
    return either(f"{name}={value!r}", f"{flag} {shlex.quote(str(value))}")


def any_of(name: str, values: Iterable[object], most: int = 4) -> str:
    """Return the option with each of ``values``, as alternatives: ``target='a' or target='b'``."""
    every = list(values)
    shown = " or ".join(option(name, value) for value in every[:most])
    return shown + (f" (or another of {len(every)})" if len(every) > most else "")


class Remark(str):
    """A message that is no error: as text it speaks of Python's arguments."""

    _error: InputError

    def __new__(cls, message: str) -> "Remark":
        """Return the remark that ``message`` makes; it may hold marks of `option` and `either`."""
        error = InputError(message)
        remark = super().__new__(cls, str(error))
        remark._error = error
        return remark

    def for_command_line(self) -> str:
        """Return the message in the words of the command line."""
        return self._error.for_command_line()
