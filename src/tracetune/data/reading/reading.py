"""A table as it was read: its panel, what was understood and said, and the options that a model keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracetune.base.errors import Remark
from tracetune.data.frequency import Offset, as_offset, offset_text
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.raw import Decision
from tracetune.data.reading.summary import Understood, panel_warnings, summary_line
from tracetune.data.reading.times.date_formats import says_day_first


@dataclass(frozen=True, eq=False)
class Reading:
    """A table as it was read.

    Attributes:
        panel: its series on a regular grid; gaps are NaN.
        understood: what was decided, why, and the option that pins each decision.
        notes: what was done to the table on the way.
        warnings: what is likely wrong with it.
        options: the options given, with names, roles, frequency and dialect as they were decided: what a model keeps.
        labels: [L] of each series, 1 where a step is anomalous, else 0; None without a column of labels.
    """

    panel: Panel
    understood: Understood
    notes: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    options: ReadingOptions
    labels: tuple[np.ndarray, ...] | None = None

    @property
    def line(self) -> str:
        """Return one line that says what was understood."""
        return self.understood.line


def reading_of(
    panel: Panel,
    decisions: Sequence[Decision],
    ignored: Sequence[tuple[str, str]],
    notes: Sequence[str],
    warnings: Sequence[str],
    options: ReadingOptions,
) -> Reading:
    """Return the reading of a panel, from what was decided, left out, done and found doubtful on the way."""
    understood = Understood(summary_line(panel, ignored), tuple(decisions), tuple(ignored))
    warned = [*warnings, *panel_warnings(panel)]
    kept = _kept(decisions, panel.offset, options)
    panel = replace(panel, origin=replace(panel.origin, reading=kept.to_json()))
    return Reading(panel, understood, tuple(map(Remark, notes)), tuple(map(Remark, warned)), kept)


def _kept(decisions: Sequence[Decision], offset: Offset | str | None, options: ReadingOptions) -> ReadingOptions:
    """Return the options with what was decided, without the forms in which another file may differ."""
    found: dict[str, Any] = {}
    for decision in decisions:
        if decision.name in ("id_column", "timestamp_column", "target", "layout", "thousands"):
            found[decision.name] = decision.value
        if decision.name == "decimal" and decision.value != ".":
            found["decimal"] = decision.value
        if decision.name == "date_format" and (day_first := says_day_first(decision.value)) is not None:
            found["day_first"] = day_first
    if offset is not None:
        found["freq"] = offset_text(as_offset(offset))
    if options.date_format is not None:
        found.pop("day_first", None)
    return options.over(replace(ReadingOptions(), **found))
