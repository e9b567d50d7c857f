# ruff: noqa: E501 - a table with a row a line
"""Small tables as forecasters have them, one a trait, with what must be understood of each.

``python -m tests.data.reading.gallery docs/results/tables.md`` writes what is understood as a table.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tests.data.reading.gallery_tables import EXAMPLES, Example
from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_table
from tracetune.data.reading.reading import Reading


def read(example: Example, folder: Path) -> tuple[Reading, str]:
    """Return how a table is read, after the hint of its message if it needs one, and that message.

    Raises:
        InputError: it is refused.
    """
    source = example.make(folder)
    if example.hint is None:
        return read_table(source), ""
    try:
        read_table(source)
    except InputError as error:
        ((name, value),) = example.hint.items()
        assert str(Remark(argument(name, value))) in str(error), str(error)
        return read_table(source, ReadingOptions(**example.hint)), str(error)
    raise AssertionError("it was read without the hint")


def understood(reading: Reading) -> dict[str, object]:
    """Return what a reading made of a table."""
    panel = reading.panel
    first = panel.series[0]
    begin = first.timestamps[0]
    return {
        "items": panel.item_ids,
        "ids": panel.origin.id_columns,
        "channels": panel.channels,
        "freq": panel.freq,
        "lengths": panel.lengths,
        "zone": panel.origin.zone,
        "missing": int(sum(np.isnan(series.values).sum() for series in panel)),
        "first": pd.Timestamp(begin) if isinstance(begin, np.datetime64) else begin,
        "values": first.values[0].tolist(),  # noqa: PD011
    }


def misread(example: Example, reading: Reading) -> list[str]:
    """Return what is not understood as it must be."""
    found = understood(reading)
    wrong = []
    for name, wanted in example.expected.items():
        if name == "values":
            right = np.allclose(found[name][: len(wanted)], wanted)
        else:
            right = found[name] == (pd.Timestamp(wanted) if name == "first" else wanted)
        wrong += [] if right else [f"{name}: {found[name]}"]
    said = " ".join([*reading.notes, *reading.warnings])
    return wrong + ([] if example.said in said else [f"said: {said}"])


def report() -> str:
    """Return what is understood of every table, as Markdown."""
    counts = {"as it is": 0, "after the hint": 0, "refused": 0, "wrongly": 0}
    rows = []
    for name, example in EXAMPLES.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                reading, message = read(example, Path(folder))
                outcome = "after the hint" if message else "as it is"
                outcome = "wrongly" if misread(example, reading) or example.refused else outcome
                found = reading.line
                if example.hint:
                    ((flag, value),) = example.hint.items()
                    found = f"hint `{Remark(argument(flag, value)).for_command_line()}`: {found}"
            except InputError as error:
                outcome = "refused" if example.refused and example.refused in str(error) else "wrongly"
                found = error.for_command_line().replace(folder + "/", "")
        counts[outcome] += 1
        rows.append(
            f"| {name} | {example.trait} | {outcome} | {found[:220].replace('|', chr(92) + '|')} |".replace("\n", " ")
        )
    head = (
        "# Tables\n\n`python -m tests.data.reading.gallery docs/results/tables.md`\n\n"
        f"{len(rows)} small tables as forecasters have them, one a trait (`tests/data/reading/gallery_tables.py`, where "
        "what must be "
        f"understood of each is held by a test): {counts['as it is']} are read as they are, "
        f"{counts['after the hint']} after the "
        f"one option that the message itself names, {counts['refused']} are refused, as they must be; {counts['wrongly']} are read "
        "wrongly.\n\n"
        "| table | trait | read | what is understood, or why it is refused |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(report(), encoding="utf-8")
