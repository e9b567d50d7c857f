"""Events and scores of a detector as rows for the terminal."""

import pandas as pd

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
