"""Series of the tests: two hourly channels that go opposite ways."""

import numpy as np
import pandas as pd


def wide(length: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=length)) / 4
    season = np.sin(2 * np.pi * np.arange(length) / 24)
    return pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=length, freq="h"),
            "a": 50 + walk + season,
            "b": 10 - 2 * walk + season + 0.05 * rng.normal(size=length),
        }
    )
