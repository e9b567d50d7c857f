"""Frames that the tests read."""

import numpy as np
import pandas as pd


def long_frame(item="a", start="2024-01-01", steps=6, freq="h", **columns):
    moments = pd.date_range(start, periods=steps, freq=freq)
    return pd.DataFrame({"item_id": item, "timestamp": moments, "target": np.arange(steps) + 1.0} | columns)
