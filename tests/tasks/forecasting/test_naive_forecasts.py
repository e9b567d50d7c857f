"""Naive forecasts on validation windows."""

import numpy as np
import pytest

from tests.tiny import seasonal_frame
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.windows import Windows
from tracetune.tasks.forecasting.naive_forecasts import naive_losses

T, H = 48, 12


def test_losses_are_means_over_windows_of_their_squared_errors() -> None:
    values = [series.values.astype(np.float32) for series in panel_from_frame(seasonal_frame(items=2))]
    ranges = [(100, 130), (90, 140)]
    found = naive_losses(Windows(values, T, H, ranges), H, season=24)
    last, season = [], []
    for series, (start, stop) in zip(values, ranges, strict=True):
        for origin in range(start, stop - H + 1):
            truth = series[0, origin : origin + H]
            last.append(np.mean((truth - series[0, origin - 1]) ** 2))
            season.append(np.mean((truth - series[0, origin - 24 : origin - 24 + H]) ** 2))
    assert found == pytest.approx({"repeat last": np.mean(last), "seasonal naive (24)": np.mean(season)}, rel=1e-5)


def test_a_season_that_no_context_holds_is_left_out() -> None:
    values = [series.values.astype(np.float32) for series in panel_from_frame(seasonal_frame(items=1))]
    assert list(naive_losses(Windows(values, T, H, [(100, 130)]), H, season=T + 1)) == ["repeat last"]
