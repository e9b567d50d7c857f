"""Times that follow from the first one: the days of months, and whatever else steps are."""

import pandas as pd
import pytest

from tracetune.data.reading.start_times import times_from


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [
        ("1990-01-31", pd.DateOffset(months=1), ["1990-01-31", "1990-02-28", "1990-03-31", "1990-04-30"]),
        ("1990-01-30", pd.DateOffset(months=1), ["1990-01-30", "1990-02-28", "1990-03-30", "1990-04-30"]),
        ("1990-03-31", 3 * pd.DateOffset(months=1), ["1990-03-31", "1990-06-30", "1990-09-30", "1990-12-31"]),
        ("1992-02-29", pd.DateOffset(years=1), ["1992-02-29", "1993-02-28", "1994-02-28", "1995-02-28"]),
        ("1990-01-01 06:00", pd.offsets.MonthEnd(), [f"1990-0{month}-01 06:00" for month in (1, 2, 3, 4)]),
        ("1990-01-03", pd.offsets.Week(weekday=6), ["1990-01-03", "1990-01-10", "1990-01-17", "1990-01-24"]),
        ("1990-01-03", pd.offsets.BDay(), ["1990-01-03", "1990-01-04", "1990-01-05", "1990-01-08"]),
        ("1990-01-03", pd.offsets.Hour(12), ["1990-01-03", "1990-01-03 12:00", "1990-01-04", "1990-01-04 12:00"]),
    ],
)
def test_steps_are_counted_from_the_start(start: str, step: pd.DateOffset, expected: list[str]) -> None:
    assert times_from(pd.Timestamp(start), step, 4).tolist() == list(map(pd.Timestamp, expected))


def test_what_pandas_cannot_hold_is_refused() -> None:
    with pytest.raises((ValueError, OverflowError)):
        times_from(pd.Timestamp("2000-01-01"), pd.DateOffset(years=1), 500)
