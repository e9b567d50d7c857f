"""Events and scores of a detector as rows for the terminal."""

import pandas as pd

from tracetune.report.tables import frame_rows


def event_rows(events: pd.DataFrame) -> list[dict[str, object]]:
    """Return what fits on a terminal of events: without the times of their runs of alarms, the last two columns."""
    return frame_rows(events.iloc[:, :-2])


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
