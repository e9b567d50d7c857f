"""A small case for the benchmarks: two synthetic channels with known splits."""

from typing import Any

import numpy as np
from benchmarks.common import Case

from tests.tiny import CONTEXT, HORIZON
from tracetune.data.datasets import DatasetFile, DatasetInfo, LoadedDataset
from tracetune.data.panels import Panel
from tracetune.data.splits import Borders
from tracetune.data.windows import Windows

LENGTHS = (300, 200, 100)


def synthetic_case(name: str = "waves", test_stride: int = 1) -> Case:
    rng = np.random.default_rng(0)
    steps = np.arange(sum(LENGTHS))
    channels = [np.sin(2 * np.pi * steps / period) + 0.3 * rng.normal(size=len(steps)) for period in (12, 20)]
    values = [np.array(channels, dtype=np.float32)]
    borders = Borders(*np.cumsum(LENGTHS).tolist())
    file = DatasetFile(f"{name}.csv", "series", "0" * 64, "0" * 64, None)
    info = DatasetInfo(name, "long", (file,), "hour", (HORIZON,), 12, borders, "none", None, "made for tests")

    def windows(start: int, stop: int, stride: int) -> Windows:
        return Windows(values, CONTEXT, HORIZON, [(start, stop)], stride)

    return Case(
        LoadedDataset(info, Panel((), (), "h"), borders, None),
        CONTEXT,
        HORIZON,
        windows(0, borders.train_end, 2),
        windows(borders.train_end, borders.validation_end, 1),
        windows(borders.validation_end, borders.test_end, test_stride),
    )


def fake_load_case(name: str, horizon: int, train: int, validation: int, test_stride: int = 1, context: int = 0) -> Any:
    assert (horizon, context) == (HORIZON, CONTEXT)
    return synthetic_case(name, test_stride)
