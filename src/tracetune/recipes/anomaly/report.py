"""Events and scores of a detector as rows for the terminal."""

import pandas as pd

from tracetune.estimators.anomaly.record import Learned
from tracetune.evaluation.anomaly.alarm_threshold import FEWEST_EVENTS, AlarmThreshold
from tracetune.report.tables import frame_rows

_MOST_EVENTS = 20


def events_table(events: pd.DataFrame) -> tuple[str, list[dict[str, object]]]:
    """Return a title and the first rows of events, as they fit on a terminal.

    The times of their runs of alarms, the last two columns, are left out, and a zone stands in the title.
    """
    shown = events.iloc[:_MOST_EVENTS, :-2]
    zoned = shown.select_dtypes("datetimetz")
    zones = {str(column.dt.tz) for _, column in zoned.items()}
    title = "Events" if len(events) <= _MOST_EVENTS else f"Events, the first {_MOST_EVENTS}"
    title += f", times in {', '.join(sorted(zones))}" if zones else ""
    return title, frame_rows(shown.assign(**{str(name): each.dt.tz_localize(None) for name, each in zoned.items()}))


def alarm_line(known: Learned, reference: str = "normal") -> str:
    """Return above which score alarms are raised, and what that rests on; a guess is called one."""
    if reference == "table":
        return f"Alarms are raised above a score of {known.table_threshold:.4g}, by normal rows as part of a table."
    return f"Alarms are raised above a score of {known.threshold:.4g}{_evidence(known.calibration)}."


def _evidence(threshold: AlarmThreshold) -> str:
    rows = f"{threshold.rows:,} normal rows"
    if not threshold.fitted:
        return f", the highest of {rows}"
    events = f"{threshold.events} separate event{'' if threshold.events == 1 else 's'}"
    if threshold.guessed:
        return f": a guess, from {rows} with {events}, where it takes {FEWEST_EVENTS}"
    return f", from {rows} with {events}"


def series_counted(found: pd.DataFrame) -> str:
    """Return in words over how many series the means of a table are."""
    of_model = found[found["scorer"] == "model"]
    measured, series = int(of_model["VUS-PR"].notna().sum()), len(of_model)
    if series == 1:
        return ""
    counted = int(of_model["false alarms"].notna().sum())
    return f", mean over {measured} series" + (f"; false alarms over {counted}" if counted != measured else "")


def metric_rows(found: pd.DataFrame) -> list[dict[str, object]]:
    """Return one row a metric, one column a scorer: means over the series."""
    means = found.drop(columns="item", errors="ignore").groupby("scorer", sort=False).mean()
    return [
        {"metric": str(name)} | {str(scorer): value for scorer, value in means[name].items()} for name in means.columns
    ]
