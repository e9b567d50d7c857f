"""Findings about a table: as text on the terminal, and as one self-contained page with pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.data.examination import SeriesFacts
from tracetune.data.forecast_frame import shown_times
from tracetune.data.leaks import Leak
from tracetune.data.reading.reading import Reading
from tracetune.report.pages import svg, write_page
from tracetune.report.series_plots import SeriesPanel, bars_figure, series_figure
from tracetune.report.tables import format_value

_MOST_ROWS = 200  # of the page's table of items
_ODD_SHOWN = 5
_COLUMNS = ("item", "steps", "missing", "longest gap", "mean", "deviation", "zeros", "odd")


@dataclass(frozen=True, eq=False)
class Inspection:
    """Facts about a table.

    Attributes:
        name: of its file.
        reading: what was understood.
        facts: of each series.
        autocorrelation: of the series by lag, in the median; empty where none varies.
        seasons: lags at which the series repeat themselves, with their autocorrelations.
        leaks: columns that give the target away.
        commands: to go on with, each with what suggests it; "" for the first thought.
    """

    name: str
    reading: Reading
    facts: Sequence[SeriesFacts]
    autocorrelation: np.ndarray
    seasons: Sequence[tuple[int, float]]
    leaks: Sequence[Leak]
    commands: Sequence[tuple[str, str]]


def print_inspection(found: Inspection) -> None:
    """Print it; the line of what was understood, notes and warnings have been printed when the table was read."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("\nUnderstood, and why:", style="bold")
    for decision in found.reading.understood.decisions:
        console.print(f"  {decision.said.for_command_line()}", markup=False)
    for column, why in found.reading.understood.ignored:
        console.print(f"  left out {column}: {why}", markup=False)
    console.print("\nThe series:", style="bold")
    for label, text in summary(found):
        console.print(f"  {label}: {text}", markup=False)
    for warning in warnings(found):
        console.print(f"  Warning: {warning}", markup=False, style="yellow")
    print_commands(found.commands)


def print_commands(commands: Sequence[tuple[str, str]], error: InputError | None = None) -> None:
    """Print commands to go on with, and what suggests them; ``error`` says why there are no series to forecast."""
    console = Console(highlight=False, soft_wrap=True)
    if error is not None:
        console.print(f"No series to forecast: {error.for_command_line()}", markup=False)
    console.print("\nGo on with:", style="bold")
    for command, reason in commands:
        if reason:
            console.print(f"  Since {reason}:", markup=False)
        console.print(f"  {command}", markup=False)


def summary(found: Inspection) -> list[tuple[str, str]]:
    """Return facts about the series, each as label and text."""
    steps = np.array([each.steps for each in found.facts])
    lines = [("lengths", _lengths(steps)), ("gaps", _gaps(found))]
    if found.seasons:
        text = ", ".join(f"{lag} steps ({strength:.2f})" for lag, strength in found.seasons)
        lines.append(("repeats after", f"{text}: autocorrelation, 1 is an exact repetition"))
    else:
        lines.append(("repeats after", "no season was found"))
    odd = odd_series(found)
    for each in odd[:_ODD_SHOWN]:
        lines.append(("odd", f"{_name(found, each)} {each.oddities[0]}"))
    if len(odd) > _ODD_SHOWN:
        lines.append(("odd", f"and {len(odd) - _ODD_SHOWN:,} more"))
    return lines


def _gaps(found: Inspection) -> str:
    """Return how many series have gaps, the longest gap, and the series that lacks most."""
    gaps = [each for each in found.facts if each.missing > 0]
    if not gaps:
        return "none"
    worst = max(gaps, key=lambda each: each.missing)
    longest = max(each.longest_gap for each in gaps)
    return (
        f"{len(gaps):,} of {len(found.facts):,} series have some; the longest has {longest:,} "
        f"step{'' if longest == 1 else 's'}; most are missing in {_name(found, worst)} ({worst.missing:.1%})"
    )


def warnings(found: Inspection, now: pd.Timestamp | None = None) -> list[str]:
    """Return what may spoil a forecast: columns that know the future, steps that are still to come."""
    said = [leak.describe() for leak in found.leaks]
    lasts = [series.timestamps[-1] for series in found.reading.panel]
    if isinstance(lasts[0], np.datetime64):
        last, today = pd.Timestamp(max(lasts)), pd.Timestamp.now() if now is None else now
        if last > today + pd.Timedelta(days=1):
            said.append(f"the last step is {last:%Y-%m-%d}, in the future: these may be plans or forecasts")
    return said


def odd_series(found: Inspection) -> list[SeriesFacts]:
    """Return the unusual series, the oddest first."""
    return sorted((each for each in found.facts if each.oddities), key=lambda each: -each.oddness)


def write_inspection(path: str | Path, found: Inspection) -> None:
    """Write the page, whole or not at all."""
    understood = found.reading.understood
    decisions = [
        {"subject": each.subject, "found": each.found, "reason": each.reason, "pin": each.pin.for_command_line()}
        for each in understood.decisions
    ]
    shown = list(found.facts[:_MOST_ROWS])
    rest = len(found.facts) - len(shown)
    write_page(
        path,
        "inspection.html",
        name=found.name,
        line=found.reading.line,
        warnings=[*(each.for_command_line() for each in found.reading.warnings), *warnings(found)],
        decisions=decisions,
        notes=[each.for_command_line() for each in found.reading.notes],
        ignored=understood.ignored,
        summary=summary(found),
        pictures=svg(series_figure(chosen_panels(found))),
        season_picture=_season_picture(found),
        item_columns=_COLUMNS,
        items=[_row(found, each) for each in shown],
        more_items=f"and {rest:,} more series." if rest else "",
        commands=found.commands,
    )


def _season_picture(found: Inspection) -> Markup | None:
    """Return the autocorrelation, as far as it tells: to twice the longest season, or to lag 60."""
    lags = [lag for lag, _ in found.seasons]
    curve = found.autocorrelation[: max(61, 2 * max(lags, default=0) + 2)]
    if len(curve) < 4:
        return None
    figure = bars_figure(range(1, len(curve)), curve[1:], lags)
    return svg(figure)


def chosen_panels(found: Inspection) -> list[SeriesPanel]:
    """Return what to draw: two typical series, up to two odd ones, the shortest, the one with most gaps."""
    usual = [each for each in found.facts if not each.oddities] or list(found.facts)
    typical = sorted(usual, key=lambda each: abs(each.deviation - np.nanmedian([other.deviation for other in usual])))
    picks = [(each, "typical") for each in typical[:2]]
    picks += [(each, each.oddities[0]) for each in odd_series(found)[:2]]
    shortest = min(found.facts, key=lambda each: each.steps)
    picks.append((shortest, f"shortest, {shortest.steps:,} steps"))
    gaps = max(found.facts, key=lambda each: each.missing)
    picks += [(gaps, f"{gaps.missing:.1%} missing")] if gaps.missing > 0 else []
    panels: dict[tuple[int, int], SeriesPanel] = {}
    for facts, note in picks:
        place = facts.item, facts.channel
        if place not in panels:
            series = found.reading.panel.series[facts.item]
            row = series.values[facts.channel]  # noqa: PD011 - not a pandas object
            times = shown_times(found.reading.panel, series.timestamps)
            panels[place] = SeriesPanel(_name(found, facts), times, row, note)
    return list(panels.values())


def _name(found: Inspection, facts: SeriesFacts) -> str:
    panel = found.reading.panel
    item, channel = panel.series[facts.item].item_id, panel.channels[facts.channel]
    if len(panel) == 1:
        return channel
    return item if len(panel.channels) == 1 else f"{item}, {channel}"


def _lengths(steps: np.ndarray) -> str:
    if steps.min() == steps.max():
        return f"{steps[0]:,} steps" + (" each" if len(steps) > 1 else "")
    return f"{steps.min():,} to {steps.max():,} steps, half of the series have {int(np.median(steps)):,} or more"


def _row(found: Inspection, facts: SeriesFacts) -> list[str]:
    return [
        _name(found, facts),
        format_value(facts.steps),
        f"{facts.missing:.1%}",
        format_value(facts.longest_gap),
        format_value(facts.mean),
        format_value(facts.deviation),
        f"{facts.zeros:.1%}",
        "; ".join(facts.oddities),
    ]
