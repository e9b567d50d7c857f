"""Pictures of forecasts after their histories."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.report.svg import texts
from tracetune.base.errors import InputError
from tracetune.report.figures import require_picture_path
from tracetune.report.forecast_plots import (
    MOST_PANELS,
    ForecastPanel,
    forecast_figure,
    shown_history,
)

HISTORY_COLOUR, FORECAST_COLOUR = "#8a8f98", "#0b6bcb"
DATES = pd.date_range("2024-03-01", periods=40, freq="D").to_numpy()
VALUES = np.sin(np.arange(40.0) / 3)


def panel(title: str = "a", **changed: Any) -> ForecastPanel:
    given = {
        "history_timestamps": DATES[:30],
        "history": VALUES[:30],
        "timestamps": DATES[30:],
        "forecast": VALUES[30:],
    }
    return ForecastPanel(title, **{**given, **changed})


def lines(path: Path, colour: str) -> list[str]:
    """The paths of an SVG that are drawn in a colour."""
    return re.findall(rf'<path d="([^"]*)"[^>]*stroke: {colour}', path.read_text())


def test_a_forecast_is_drawn_with_truth_intervals_and_one_legend(tmp_path: Path) -> None:
    quantiles = {0.9: VALUES[30:] + 1, 0.1: VALUES[30:] - 1, 0.5: VALUES[30:], 0.25: VALUES[30:], 0.75: VALUES[30:]}
    path = tmp_path / "forecast.svg"
    forecast_figure(
        [panel("Two series & one title", truth=VALUES[30:], quantiles=quantiles, note="MASE 0.8")], path=path
    )
    found = texts(path)
    assert {"Two series &amp; one title", "MASE 0.8"} <= set(found)
    legend = ["history", "forecast", "truth", "80 % interval", "50 % interval"]
    assert [text for text in found if text in legend] == legend
    assert any("2024" in text for text in found)  # dates, not numbers of days


def test_steps_may_be_numbers_and_truth_and_intervals_absent(tmp_path: Path) -> None:
    path = tmp_path / "forecast.svg"
    forecast_figure([panel(history_timestamps=np.arange(30), timestamps=np.arange(30, 40))], path=path)
    found = texts(path)
    assert {"history", "forecast", "24"} <= set(found)
    assert "truth" not in found
    assert not any("interval" in text for text in found)


def test_missing_values_leave_a_gap_in_the_line(tmp_path: Path) -> None:
    lengths = []
    for name, missing in (("whole.svg", []), ("gap.svg", [10, 11, 12])):
        values = VALUES[:30].copy()
        values[missing] = np.nan
        forecast_figure([panel(history=values)], path=tmp_path / name)
        lengths.append(max(line.count("M") for line in lines(tmp_path / name, HISTORY_COLOUR)))
    assert lengths == [1, 2]


def test_a_single_step_is_drawn_as_a_point_with_its_interval(tmp_path: Path) -> None:
    quantiles = {0.1: VALUES[30:31] - 1, 0.9: VALUES[30:31] + 1}
    one = panel(timestamps=DATES[30:31], forecast=VALUES[30:31], quantiles=quantiles)
    forecast_figure([one], path=tmp_path / "one.svg")
    assert re.search(rf"<use [^>]*stroke: {FORECAST_COLOUR}", (tmp_path / "one.svg").read_text())
    assert "80 % interval" in texts(tmp_path / "one.svg")


def test_the_suffix_decides_the_format(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "forecast.png"
    forecast_figure([panel()], path=path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height > 600


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (2, 2), (3, 3), (9, MOST_PANELS)])
def test_several_series_are_small_multiples_of_at_most_six(count: int, drawn: int) -> None:
    figure = forecast_figure([panel(f"item {number}") for number in range(count)], "All of them")
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in visible] == [f"item {number}" for number in range(drawn)]
    assert len(figure.legends) == 1


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InputError, match="at least one series"):
        forecast_figure([])


@pytest.mark.parametrize("changed", ["history", "forecast", "truth"])
def test_values_that_do_not_fit_their_timestamps_are_refused(changed: str) -> None:
    with pytest.raises(InputError, match=rf"Expected {changed} of \d+ steps, found shape \[5\]"):
        panel(**{changed: VALUES[:5]})


def test_only_files_of_pictures_are_taken() -> None:
    require_picture_path("a.png")
    with pytest.raises(InputError, match=r"found 'a\.csv'"):
        require_picture_path("a.csv")


def test_history_is_shown_as_far_as_it_helps() -> None:
    assert (shown_history(1000, 24), shown_history(1000, 2), shown_history(30, 24)) == (72, 48, 30)
