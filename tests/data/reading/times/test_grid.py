import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.data.reading.times.grid import Grid, infer_offset, refuse_mixed_steps


@settings(max_examples=60)
@given(
    freq=st.sampled_from(["5min", "h", "D", "W-WED", "MS", "QE-DEC", "YS-JAN"]),
    starts=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    dropped=st.sets(st.integers(11, 38), max_size=3),
)
def test_the_grid_under_rows_with_gaps_is_the_whole_grid(freq, starts, dropped):
    """Items begin anywhere on one grid and lack some rows; each gets back the grid from its first to its last row."""
    calendar = pd.date_range("2001-01-01", periods=75, freq=freq).to_numpy("datetime64[ns]")
    whole = [calendar[start : start + 40] for start in starts]
    kept = [np.delete(times, sorted(dropped)) for times in whole]
    bounds = np.cumsum([0] + [len(times) for times in kept])
    times = np.concatenate(kept)

    found = infer_offset(times, bounds)
    assert found is not None
    grid = Grid(times, bounds, found)
    for expected, rows in zip(whole, kept, strict=True):
        full, positions, on_grid = grid.place(rows)
        np.testing.assert_array_equal(full, expected)
        np.testing.assert_array_equal(full[positions], rows)
        assert on_grid.all()


def test_nanoseconds_are_exact_at_the_end_of_long_grids():
    times = pd.date_range("2016-07-01", periods=17420, freq="h").to_numpy("datetime64[ns]")
    full, _, on_grid = Grid(times, np.array([0, len(times)]), pd.offsets.Hour()).place(times)
    assert full[-1] == times[-1]
    assert on_grid.all()


@pytest.mark.parametrize(
    ("shorter", "longer", "found"),
    [("15min", "h", "0 days 01:00:00"), ("h", "D", "1 days 00:00:00"), ("MS", "QS", "90 days 00:00:00")],
)
def test_an_item_of_a_longer_step_is_named(shorter, longer, found):
    times, bounds = stacked(shorter, longer)
    with pytest.raises(InputError, match=f"two: .* that of item 'b' is {found}.*1 of 2 items"):
        refuse_mixed_steps(times, bounds, ["a", "b"])


def test_gaps_and_a_few_rows_are_no_frequency_of_their_own():
    times, bounds = stacked("h", "D", rows=7)
    refuse_mixed_steps(times, bounds, ["a", "b"])
    whole = pd.date_range("2024-01-01", periods=60, freq="h").to_numpy("datetime64[ns]")
    gaps = whole[np.array([0, 2, 4, 6, 9, 11, 13, 15, 17, 19])]
    refuse_mixed_steps(np.concatenate([whole, gaps]), np.array([0, 60, 70]), ["a", "b"])
    refuse_mixed_steps(whole[:1], np.array([0, 1]), ["a"])


def stacked(shorter, longer, rows=12):
    """Timestamps and bounds of an item with 60 short steps, and one with ``rows`` long ones."""
    first = pd.date_range("2024-01-01", periods=60, freq=shorter)
    second = pd.date_range("2024-01-01", periods=rows, freq=longer)
    return np.concatenate([first, second]).astype("datetime64[ns]"), np.array([0, 60, 60 + rows])
