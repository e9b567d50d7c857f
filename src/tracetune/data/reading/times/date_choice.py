"""One of several readings of a time column, chosen by the grid that it makes; and the clock that it is kept on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.frequency import Offset, frequency_words
from tracetune.data.reading.columns import DateReading, TimeColumn
from tracetune.data.reading.raw import Decision, shown
from tracetune.data.reading.times.grid import Assessment, assess
from tracetune.data.reading.times.written_form import AS_USUAL, written_form

_DAY = 86_400_000_000_000
_HOUR = 3_600_000_000_000


@dataclass(frozen=True, eq=False)
class Times:
    """The time of each row, decided.

    Attributes:
        values: [rows], datetime64[ns] or int64.
        zone: time zone they had, None without.
        local_clock: whether ``values`` are readings of that zone's clock; else they are in UTC.
        decisions: what was decided.
        notes: what a user should know.
        form: how they are written, see `written_form`.
    """

    values: np.ndarray
    zone: str | None
    local_clock: bool
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]
    form: str | None = AS_USUAL


def choose_times(time: TimeColumn, codes: np.ndarray, freq: Offset | None) -> Times:
    """Return the time of each row by the one reading that makes a regular grid.

    Raises:
        InputError: several readings do, or none does: both are shown with the options that choose.
    """
    reading, decisions = _one_reading(time, codes, freq)
    values, local, moved = _on_clock(reading, codes, freq)
    notes = [reading.note] if reading.note else []
    if moved:
        notes.append(moved)
    return Times(values, reading.zone, local, tuple(decisions), tuple(notes), written_form(time.cells, reading))


def _one_reading(time: TimeColumn, codes: np.ndarray, freq: Offset | None) -> tuple[DateReading, list[Decision]]:
    found = _distinct(time.readings)
    if len(found) == 1:
        return found[0], _decisions(found[0], "it is the only form that fits every row")
    judged = [(reading, assess(reading.times, codes, freq)) for reading in found]
    regular = [pair for pair in judged if pair[1].regular]
    if len(regular) == 1 and max(pair[1].fill for pair in judged if pair is not regular[0]) < regular[0][1].fill:
        reading, grid = regular[0]
        others = ", ".join(each.form for each, _ in judged if each is not reading)
        return reading, _decisions(
            reading, f"it gives a regular grid ({frequency_words(grid.offset)}) and {others} does not"
        )
    raise _ambiguous(time, judged)


def _distinct(found: list[DateReading]) -> list[DateReading]:
    """Return readings that give different times; of those that agree, the first."""
    kept: list[DateReading] = []
    for reading in found:
        if not any(reading.is_dates == other.is_dates and np.array_equal(reading.times, other.times) for other in kept):
            kept.append(reading)
    return kept


def _decisions(reading: DateReading, reason: str) -> list[Decision]:
    pinned = ("date_format", reading.form) if "%" in reading.form else ("", None)
    return [Decision("dates", reading.form, reason, *pinned)]


def _ambiguous(time: TimeColumn, judged: list[tuple[DateReading, Assessment]]) -> InputError:
    rows = [0, min(1, len(time.cells) - 1)]
    cells = ", ".join(shown(time.cells.iloc[row]) for row in rows)
    lines = []
    for reading, grid in judged[:4]:
        made = ", ".join(_day(reading.times[row]) for row in rows)
        words = frequency_words(grid.offset) if grid.offset is not None else "no regular step"
        share = f", {1 - grid.fill:.0%} of the steps missing" if grid.fill < 0.995 and grid.offset is not None else ""
        lines.append(f"{made} ({words}{share}) with {_choice(reading, judged)}")
    return InputError(
        f"Column {shown(time.cells.name)} can be read in {len(judged)} ways: {cells} are "
        + "; or ".join(lines)
        + ". Say which."
    )


def _choice(reading: DateReading, judged: list[tuple[DateReading, Assessment]]) -> str:
    if len(judged) == 2 and {each.form[:2] for each, _ in judged} == {"%d", "%m"}:
        return argument("day_first", reading.form.startswith("%d"))
    return argument("date_format", reading.form)


def _day(moment: np.datetime64) -> str:
    text = str(pd.Timestamp(moment)) if isinstance(moment, np.datetime64) else str(moment)
    return text.removesuffix(" 00:00:00")


def _on_clock(reading: DateReading, codes: np.ndarray, freq: Offset | None) -> tuple[np.ndarray, bool, str]:
    """Return times in UTC if their steps are below a day, else on the clock of their zone; the other if that fits.

    Days that begin at 1:00, because the clock skipped midnight, are dated at the usual hour.
    """
    if reading.offsets is None or not reading.is_dates:
        return reading.times, False, ""
    clock, utc = reading.times, reading.times - reading.offsets.astype("timedelta64[ns]")
    days, moved = _whole_local_days(clock, reading.offsets)
    local = assess(days, codes, freq)
    if (
        local.offset is not None
        and local.off_grid == 0
        and local.repeated == 0
        and not _shorter_than_a_day(local.offset)
    ):
        return days, True, moved
    absolute = assess(utc, codes, freq)
    if absolute.off_grid == 0 and absolute.repeated == 0:
        return utc, False, ""
    if local.off_grid == 0 and local.repeated == 0:
        return days, True, moved
    return utc, False, ""


def _shorter_than_a_day(offset: Offset) -> bool:
    return isinstance(offset, pd.offsets.Tick) and int(offset.nanos) < _DAY


def _whole_local_days(clock: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, str]:
    """Return clock times; those an hour after the usual time of day are moved to it where the zone's offset changes."""
    ticks = clock.astype(np.int64)
    into_day = ticks % _DAY
    usual, counts = np.unique(into_day, return_counts=True)
    if len(usual) != 2 or counts.min() * 20 > counts.sum():
        return clock, ""
    common = int(usual[counts.argmax()])
    late = into_day == common + _HOUR
    if not late.any() or late.sum() != counts.min() or len(np.unique(offsets)) < 2:
        return clock, ""
    days = "day" if late.sum() == 1 else "days"
    note = (
        f"{late.sum()} local {days} that begin an hour later, where the clock goes forward, are dated at the usual hour"
    )
    return np.where(late, ticks - _HOUR, ticks).astype(clock.dtype), note
