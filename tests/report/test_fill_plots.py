"""Pictures of filled series: which part is drawn, and what of it."""

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.report.fill_plots import FilledPanel, fill_figure


def panel(length: int, gaps: list[slice]) -> FilledPanel:
    filled = np.arange(float(length))
    values = filled.copy()
    for gap in gaps:
        values[gap] = np.nan
    times = np.datetime64("2024-01-01") + np.arange(length).astype("timedelta64[h]")
    return FilledPanel("north", times, values, filled, filled - 1, filled + 1)


def test_the_title_says_which_part_of_a_long_series_is_drawn() -> None:
    long = fill_figure([panel(5000, [slice(10, 20), slice(3000, 3040)])]).axes[0]
    assert long.get_title(loc="right") == "steps 2,721 to 3,320 of 5,000, around the longest gap"
    assert fill_figure([panel(600, [slice(10, 20)])]).axes[0].get_title(loc="right") == ""


def test_a_lone_gap_has_an_interval_too() -> None:
    axes = fill_figure([panel(50, [slice(7, 8), slice(20, 25)])]).axes[0]
    (line,) = axes.collections[1].get_segments()
    assert line[:, 1].tolist() == [6, 8]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError):
        fill_figure([])
