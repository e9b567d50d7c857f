"""Summary of how a table was read, in one line, and warnings of what is likely wrong with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.data.frequency import as_offset, frequency_words
from tracetune.data.panels import Panel
from tracetune.data.reading.raw import Decision

_FEWEST_STEPS = 16
_MUCH_MISSING = 0.2
MOSTLY_MISSING = 0.5


@dataclass(frozen=True)
class Understood:
    """Decisions about a table.

    Attributes:
        line: all of it in one line.
        decisions: each with its reason and the option that pins it.
        ignored: (column, why) of the columns that are left out.
    """

    line: str
    decisions: tuple[Decision, ...]
    ignored: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(
            [self.line, *(each.said for each in self.decisions), *(f"left out {n}: {why}" for n, why in self.ignored)]
        )


def summary_line(panel: Panel, ignored: Sequence[tuple[str, str]]) -> str:
    """Return what a panel is: items, targets, frequency, span, lengths, share missing, columns left out."""
    ids = panel.origin.id_columns
    parts = [f"{len(panel):,} {'item' if len(panel) == 1 else 'items'} ({', '.join(ids)})" if ids else "one series"]
    parts.append(_names("target", panel.channels) if panel.channels != ("target",) else "target")
    parts.append(frequency_words(None if panel.offset is None else as_offset(panel.offset)))
    first, last = _span(panel)
    parts.append(f"{first} to {last}" + (f" {panel.origin.zone}" if panel.origin.zone else ""))
    shortest, longest = min(panel.lengths), max(panel.lengths)
    each = " each" if len(panel) > 1 else ""
    parts.append(f"{longest:,} steps{each}" if shortest == longest else f"{shortest:,} to {longest:,} steps")
    parts.append(f"{missing_share(panel):.1%} missing".replace("%", " %"))
    line = ", ".join(parts)
    return line + (f"; ignored: {_names('', [name for name, _ in ignored])}" if ignored else "")


def missing_share(panel: Panel) -> float:
    """Return which share of the grid's values is missing."""
    cells = sum(series.values.size for series in panel)
    return sum(int(np.isnan(series.values).sum()) for series in panel) / max(cells, 1)


def panel_warnings(panel: Panel) -> list[str]:
    """Return what is likely wrong: much missing, repeated or constant series, series too short to learn from."""
    found = []
    share = missing_share(panel)
    if share >= MOSTLY_MISSING:
        found.append(f"{share:.0%} of the steps have no value: the dates or the frequency may be read wrongly")
    elif share >= _MUCH_MISSING:
        found.append(f"{share:.0%} of the values are missing")
    rows = [row for series in panel for row in series.values]
    repeated = sum(
        count - 1 for count in Counter(row.tobytes() for row in rows if len(row) > 3 and _varies(row)).values()
    )
    if repeated:
        repeats = "repeats" if repeated == 1 else "repeat"
        found.append(f"{repeated:,} of {len(rows):,} series {repeats} another one exactly")
    constant = sum(not _varies(row) and not np.isnan(row).all() for row in rows)
    if constant:
        found.append(f"{constant:,} of {len(rows):,} series {'is' if constant == 1 else 'are'} constant")
    short = sum(length < _FEWEST_STEPS for length in panel.lengths)
    if short:
        has = "has" if short == 1 else "have"
        found.append(f"{short:,} of {len(panel):,} items {has} fewer than {_FEWEST_STEPS} steps: little to learn from")
    return found


def _varies(row: np.ndarray) -> bool:
    seen = row[~np.isnan(row)]
    return bool(len(seen) and (seen != seen[0]).any())


def _span(panel: Panel) -> tuple[str, str]:
    begins = min(series.timestamps[0] for series in panel)
    ends = max(series.timestamps[-1] for series in panel)
    return _moment(panel, begins), _moment(panel, ends)


def _moment(panel: Panel, moment: np.datetime64) -> str:
    if not isinstance(moment, np.datetime64):
        return str(moment)
    shown = pd.Timestamp(moment)
    if panel.origin.zone and not panel.origin.local_clock:
        shown = shown.tz_localize("UTC").tz_convert(panel.origin.zone).tz_localize(None)
    return str(shown).removesuffix(" 00:00:00").removesuffix(":00")


def _names(noun: str, names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(name if len(name) <= 40 else name[:37] + "..." for name in names[:most])
    plural = f"{noun}s " if len(names) > 1 else f"{noun} "
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return (plural if noun else "") + shown + more
