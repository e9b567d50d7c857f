"""Times in several columns, and weeks of a year."""

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table


def test_years_with_quarters_or_weeks_are_dates():
    quarters = pd.DataFrame({"year": np.repeat(np.arange(1990.0, 2000.0), 4), "quarter": np.tile([1.0, 2, 3, 4], 10)})
    panel = read_table(quarters.assign(gdp=np.arange(40) ** 1.5)).panel
    assert panel.freq.startswith("QS") and panel.lengths == (40,)
    assert panel.series[0].timestamps[1] == np.datetime64("1990-04-01")
    mondays = pd.date_range("2020-12-14", periods=30, freq="7D").isocalendar()
    weeks = pd.DataFrame(
        {"week": mondays["week"].to_numpy(), "year": mondays["year"].to_numpy(), "cases": np.arange(30) % 7 + 0.5}
    )
    reading = read_table(weeks)
    assert reading.panel.freq == "W-MON" and reading.panel.series[0].timestamps[0] == np.datetime64("2020-12-14")
    assert "weeks are the ISO ones" in str(reading.notes[0])
    with pytest.raises(InputError, match="found week 53 of 2021 in row 0, which has none"):
        read_table(weeks.assign(week=53, year=2021))


def test_a_week_that_a_year_does_not_have_is_not_taken_for_one_of_the_next():
    weeks = [f"2021-W{week:02d}" for week in range(40, 53)]
    assert read_table(pd.DataFrame({"week": weeks, "y": np.arange(13) % 5 + 0.5})).panel.freq == "W-MON"
    with pytest.raises(InputError, match="2021-W53"):
        read_table(pd.DataFrame({"week": [*weeks, "2021-W53"], "y": np.arange(14) % 5 + 0.5}))


@pytest.mark.parametrize("mark", ["/", "-"])
@pytest.mark.parametrize("digits", [2, 4])
def test_years_that_end_in_the_next_are_years(mark: str, digits: int) -> None:
    seasons = [f"{year}{mark}{str(year + 1)[-digits:]}" for year in range(2001, 2012)]  # 2001/02 is no month either
    reading = read_table(pd.DataFrame({"season": seasons, "y": range(50, 61)}))
    assert reading.panel.series[0].timestamps[0] == pd.Timestamp("2001-01-01")
    assert "yearly" in reading.line
    assert "years such as 2023/24 are dated by the first of January of the former" in reading.notes
    months = [f"2001-{month:02}" for month in range(2, 13)]
    assert "monthly" in read_table(pd.DataFrame({"season": months, "y": range(50, 61)})).line


def test_a_repeated_hour_in_autumn_names_no_column_of_values() -> None:
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Paris").tz_localize(None)
    with pytest.raises(InputError, match=r"end of summer time\. Keep one row"):
        read_table(pd.DataFrame({"t": hours, "y": [50 + hour % 20 for hour in range(72)]}))
