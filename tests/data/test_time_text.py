"""Times as text: against strftime where it has the field, and the form that a table is written in, found again."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracetune.data.forecast_frame import clock_times
from tracetune.data.reading.read import read_table
from tracetune.data.time_text import written_times

DAYS = pd.date_range("2023-03-14", periods=40)
HOURS = pd.date_range("2023-03-14 05:00", periods=40, freq="h")
MONTHS = pd.date_range("2020-01-01", periods=40, freq="MS")
WEEKS = pd.date_range("2023-01-02", periods=40, freq="W-MON")

FORMS = [
    *[(DAYS, form) for form in ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%y", "%Y/%m/%d", "%Y%m%d", "%-d.%-m.%Y", "%-m/%-d/%Y")],
    *[(DAYS, form) for form in ("%d-%b-%Y", "%d-%^b-%Y", "%A, %B %d, %Y", "%Y-%m-%d 00:00:00", "%Y-%m-%dT00:00:00Z")],
    *[(HOURS, form) for form in ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %-I:%M %p", "%-m/%-d/%Y %-H:%M")],
    *[(HOURS, form) for form in ("%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%d %H:%M:%S+0200", "%Y-%m-%d %H:%M:%S+02:00")],
    *[(MONTHS, form) for form in ("%Y-%m", "%b-%y", "%B %Y", "%m/%Y", "%YM%m")],
    (WEEKS, "%G-W%V"),
]


def written(column: pd.Series, form: str | None) -> list[object]:
    assert form is not None
    text = written_times(column, form)
    assert text is not None
    return text.tolist()


def frame_of(text: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"when": text, "sales": np.arange(len(text)) % 7 + 0.5})


@pytest.mark.parametrize(("times", "form"), FORMS, ids=[form for _, form in FORMS])
def test_what_follows_a_table_is_written_as_it_is(times: pd.DatetimeIndex, form: str) -> None:
    text = times.strftime(form).tolist()
    panel = read_table(frame_of(text[:30])).panel
    later = clock_times(panel, panel.future_timestamps(panel.series[0], 10))
    assert panel.origin.time_form
    assert written(later, panel.origin.time_form) == text[30:]


@pytest.mark.parametrize("write", ["{year}-Q{quarter}", "Q{quarter} {year}", "{year}q{quarter}"])
def test_quarters_are_written_as_they_are(write: str) -> None:
    times = pd.date_range("2015-01-01", periods=24, freq="QS")
    text = [write.format(year=each.year, quarter=each.quarter) for each in times]
    panel = read_table(frame_of(text[:20])).panel
    later = clock_times(panel, panel.future_timestamps(panel.series[0], 4))
    assert written(later, panel.origin.time_form) == text[20:]


@pytest.mark.parametrize("scale", [1, 1000])
def test_seconds_since_1970_stay_such(scale: int) -> None:
    numbers = [int(each.timestamp()) * scale for each in HOURS]
    panel = read_table(frame_of(numbers[:30]).rename(columns={"when": "time"})).panel
    later = clock_times(panel, panel.future_timestamps(panel.series[0], 10))
    assert written(later, panel.origin.time_form) == list(map(str, numbers[30:]))


def test_days_of_a_workbook_stay_such() -> None:
    numbers = list(range(45292, 45332))
    panel = read_table(frame_of(numbers[:30]).rename(columns={"when": "date"})).panel
    later = clock_times(panel, panel.future_timestamps(panel.series[0], 10))
    assert later[0] == pd.Timestamp("2024-01-31")
    assert written(later, panel.origin.time_form) == list(map(str, numbers[30:]))


def test_times_that_are_no_text_have_no_form() -> None:
    for times in (DAYS, DAYS.tz_localize("Europe/Berlin"), DAYS.date):
        assert read_table(frame_of(list(times))).panel.origin.time_form == ""


def test_a_form_that_cannot_be_kept_is_known_to_be_such() -> None:
    assert read_table(frame_of([f"{day:%d.%m.%Y} 24:00" for day in DAYS])).panel.origin.time_form is None


@pytest.mark.parametrize(
    ("moment", "form"),
    [
        ("2024-01-31 05:00", "%Y-%m-%d"),
        ("2024-01-31", "%Y-%m"),
        ("2024-01-02", "%G-W%V"),
        ("2024-02-01", "%YQ%q"),
        ("2024-01-01 00:00:30", "%Y-%m-%d %H:%M"),
        ("2024-01-01 00:00:00.5", "%s"),
        ("1950-01-01", "%d.%m.%y"),
    ],
)
def test_what_a_form_cannot_say_is_not_written_in_it(moment: str, form: str) -> None:
    assert written_times(pd.Series([pd.Timestamp(moment)]), form) is None


@given(
    st.lists(st.datetimes(pd.Timestamp("1970-01-01"), pd.Timestamp("2060-01-01")), min_size=1, max_size=5),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%6f", "%d/%m/%y %I:%M:%S.%6f %p", "%b %d, %Y, %H:%M:%S.%6f"]),
)
def test_text_is_read_again_as_the_same_times(moments: list[pd.Timestamp], form: str) -> None:
    column = pd.Series(moments).astype("datetime64[ns]")
    text = written_times(column, form)
    assert text is not None
    assert text.tolist() == [each.strftime(form.replace("%6f", "%f")) for each in column]


def test_missing_times_stay_missing() -> None:
    column = pd.Series([pd.Timestamp("2024-01-31"), pd.NaT])
    assert written(column, "%d.%m.%Y") == ["31.01.2024", None]
