"""Times of a series of which the first one is known, and how long a step is."""

import re

import numpy as np
import pandas as pd

from tracetune.data.frequency import Offset

_MONTHS = {"M": 1, "Q": 3, "Y": 12}


def times_from(start: pd.Timestamp, step: Offset, count: int) -> pd.DatetimeIndex:
    """Return the times of a series; steps of months keep the day of the first, or the last day of each month.

    Raises:
        ValueError, OverflowError: a time that pandas cannot hold.
    """
    months = _months(step)
    if not months:
        weekly = isinstance(step, pd.offsets.Week)  # counted from the start, whatever weekday the step names
        return pd.date_range(start, periods=count, freq=pd.Timedelta(7 * step.n, "D") if weekly else step)
    firsts = np.datetime64(start.tz_localize(None), "M") + months * np.arange(count)
    days = firsts.astype("datetime64[D]")
    lengths = ((firsts + 1).astype("datetime64[D]") - days).astype(np.int64)
    place = lengths if start.is_month_end else np.minimum(start.day, lengths)
    clock = start.tz_localize(None) - start.tz_localize(None).normalize()
    return pd.DatetimeIndex(days + (place - 1)).as_unit("ns").tz_localize(start.tz) + clock


def _months(step: Offset) -> int:
    """Return how many months a step has; 0 for a step that is no number of months."""
    if type(step) is pd.offsets.DateOffset:
        return int(step.n * (12 * step.kwds.get("years", 0) + step.kwds.get("months", 0)))
    kind = re.fullmatch(r"\d*([MQY])[SE](-[A-Z]+)?", step.freqstr)
    return step.n * _MONTHS[kind[1]] if kind else 0
