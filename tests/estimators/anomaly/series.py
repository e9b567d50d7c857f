"""Series of the tests: a noisy wave, and hourly tables of two such channels, one with a labelled shift."""

import numpy as np
import pandas as pd


def season(length: int, seed: int = 0, start: int = 0) -> np.ndarray:
    noise = 0.05 * np.random.default_rng(seed).normal(size=length)
    return np.sin(2 * np.pi * np.arange(start, start + length) / 80) + noise


def table(length: int, start: int = 0, seed: int = 0, items: int = 1) -> pd.DataFrame:
    """Hourly items of two channels; in the last quarter of the second channel a level shift, labelled."""
    times = pd.date_range("2024-01-01", periods=start + length, freq="h")[start:]
    frames = []
    for item in range(items):
        values = season(length, seed + item, start), 10 * season(length, seed + item + 9, start)
        label = np.arange(length) // (length // 8) == 6
        frames.append(pd.DataFrame({"machine": f"m{item}", "time": times, "a": values[0], "b": values[1] + 40 * label}))
        frames[-1]["label"] = label.astype(int)
    return pd.concat(frames, ignore_index=True)


def normal(length: int = 900, items: int = 1) -> pd.DataFrame:
    return table(length, items=items).assign(b=lambda frame: frame.b - 40 * frame.label).drop(columns="label")
