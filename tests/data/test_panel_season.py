"""The season of a panel."""

import numpy as np
import pandas as pd

from tracetune.data.panel_season import panel_season
from tracetune.data.reading.read import panel_from_frame


def test_the_calendar_comes_first_and_numbered_steps_are_searched() -> None:
    wave = np.sin(2 * np.pi * np.arange(400) / 50)
    dated = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=400), "v": wave})
    numbered = pd.DataFrame({"step": np.arange(400), "v": wave})
    assert [panel_season(panel_from_frame(frame)) for frame in (dated, numbered)] == [7, 50]
