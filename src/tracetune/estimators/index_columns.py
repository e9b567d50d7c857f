"""Columns that say which step of which series a row is."""

from collections.abc import Sequence

import numpy as np

from tracetune.data.forecast_frame import clock_times, item_keys
from tracetune.data.panels import Panel


def index_columns(panel: Panel, timestamps: Sequence[np.ndarray]) -> dict[str, object]:
    """Return item and time columns, one row a step."""
    counts = [len(each) for each in timestamps]
    columns: dict[str, object] = {
        name: np.repeat(item_keys(panel, index), counts) for index, name in enumerate(panel.origin.id_columns)
    }
    columns[panel.origin.timestamp_column] = clock_times(panel, np.concatenate(timestamps))
    return columns
