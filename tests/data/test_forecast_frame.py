"""Item columns of what goes out are of the type that came in."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tracetune.data.forecast_frame import frame_from_forecasts
from tracetune.data.reading.frames import raw_of_frame
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_cells


def long_table(ids: Any) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=6)
    frame = pd.DataFrame({"item_id": np.repeat(["b", "a"], 6), "timestamp": list(times) * 2, "target": np.arange(12.0)})
    return frame.assign(item_id=frame["item_id"].astype(ids))


def forecasts_of(table: Any) -> Any:
    panel = read_cells(raw_of_frame(table), ReadingOptions()).panel
    return frame_from_forecasts(panel, [np.zeros((1, 2))] * 2)


@pytest.mark.parametrize(
    "ids", ["category", "string", pd.CategoricalDtype(["c", "b", "a"], ordered=True), "string[pyarrow]"]
)
def test_items_of_a_pandas_table_keep_their_type(ids: Any) -> None:
    table = long_table(ids)
    found = forecasts_of(table)["item_id"]
    assert found.dtype == table["item_id"].dtype
    assert found.tolist() == ["b", "b", "a", "a"]


def test_numbers_and_texts_stay_what_they_were() -> None:
    numbered = long_table("object").assign(item_id=np.repeat([7, 3], 6))
    assert forecasts_of(numbered)["item_id"].dtype == np.int64
    assert forecasts_of(numbered.astype({"item_id": "Int32"}))["item_id"].dtype == "Int32"
    assert forecasts_of(long_table("object"))["item_id"].tolist() == ["b", "b", "a", "a"]


def test_categories_of_polars_come_back_as_such() -> None:
    table = pl.from_pandas(long_table("object")).with_columns(pl.col("item_id").cast(pl.Categorical))
    assert forecasts_of(table).schema["item_id"] in (pl.Categorical, pl.Enum)
