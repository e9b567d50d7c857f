"""The usual season of a sampling frequency."""

import pandas as pd
from pandas.tseries.frequencies import to_offset

_DAY = pd.Timedelta(days=1)
_BY_CALENDAR = {"M": 12, "Q": 4, "Y": 1, "W": 52, "B": 5, "D": 7}


def seasonality(freq: str | None) -> int:
    """Steps of one season: a day of sub-daily data, a week of daily, a year of weekly, monthly and quarterly data.

    Args:
        freq: pandas offset alias; None, for integer timestamps, has no season (1).
    """
    if freq is None:
        return 1
    offset = to_offset(freq)
    step = _fixed_step(offset)
    if step is not None and step < _DAY:
        return max(1, round(_DAY / step))
    return max(1, _BY_CALENDAR.get(offset.name[:1], 1) // offset.n)


def _fixed_step(offset: pd.offsets.BaseOffset) -> pd.Timedelta | None:
    try:
        return pd.Timedelta(offset)  # type: ignore[arg-type]
    except ValueError:
        return None
