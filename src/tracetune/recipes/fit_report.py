"""Summary of a fine-tuning run on the terminal, for every task: candidates, verdict, commands to go on with."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import ClassVar, Protocol

from rich.console import Console

from tracetune.base.json_types import JsonObject
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import print_table

_SEEN_FILE = "Go on with:"
_OTHER_FILE = "Go on with (better with a table that it has not seen):"


class Source(Protocol):
    """A table with the flags by which it is read, or a known data set: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    @property
    def data(self) -> str | None:
        """Return the path of the table; None for a data set."""
        ...

    @property
    def dataset(self) -> str | None:
        """Return the name of the data set; None for a table."""
        ...


def print_candidates(title: str, trace: JsonObject, more: str = "") -> None:
    """Print what competed and why the winner has won; ``more`` follows the verdict."""
    console = Console(highlight=False)
    print_table(title, candidate_rows(trace), console=console)
    console.print(f"{verdict(trace)} {more}".rstrip())


def print_next_commands(source: Source, output: str, verbs: Mapping[str, Sequence[str]], *, seen: bool = False) -> None:
    """Print where the model is, and commands that use it on the table it was trained on, as a shell takes them.

    Args:
        source: the table or data set, with the flags by which it was read.
        output: folder of the model.
        verbs: each with further words.
        seen: whether what the commands say of this table would be too good, because the model was trained on it.
    """
    console = Console(highlight=False)
    console.print(f"\nSaved to {output}. {_OTHER_FILE if seen else _SEEN_FILE}", markup=False)
    for verb, more in verbs.items():
        line = shlex.join(["tracetune", verb, *source_words(source), "--model", output, *more])
        console.print(f"  {line}", soft_wrap=True, markup=False)


def source_words(source: Source) -> list[str]:
    """Return the words of a command line that name a source: its table or data set, then the flags that were given."""
    words = [source.data] if source.data is not None else ["--dataset", str(source.dataset)]
    for field in fields(source):
        value = getattr(source, field.name)
        if field.name not in ("data", "dataset") and value != _default(field):
            words += _flag_words(field.name, value)
    return words


def _flag_words(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
