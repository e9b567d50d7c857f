"""Where the series of a command come from."""

from dataclasses import fields
from pathlib import Path

import pytest

from tests.tiny import seasonal_frame
from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.sources import ReadingKeywords
from tracetune.recipes.data_source import DataSource


def test_a_table_or_a_known_data_set(tmp_path: Path) -> None:
    seasonal_frame().to_csv(tmp_path / "sales.csv", index=False)
    assert len(DataSource(data=str(tmp_path / "sales.csv")).panel()) == 2
    for wrong in ({}, {"data": str(tmp_path / "sales.csv"), "dataset": "ETTh1"}):
        with pytest.raises(InputError, match="Expected either a table"):
            DataSource(**wrong)


def test_columns_that_are_named_are_used(tmp_path: Path) -> None:
    frame = seasonal_frame().rename(columns={"item_id": "shop", "timestamp": "hour", "target": "sold"})
    frame.to_csv(tmp_path / "sales.csv", index=False)
    source = DataSource(str(tmp_path / "sales.csv"), id_column="shop", timestamp_column="hour", target="sold")
    assert source.panel().item_ids == ("item0", "item1")
    assert source.panel().channels == ("sold",)


def test_a_file_that_is_not_there_is_refused_with_those_called_alike(tmp_path: Path) -> None:
    (tmp_path / "sales_2024.csv").touch()
    with pytest.raises(InputError, match=r"there is no such file. Did you mean .*sales_2024\.csv"):
        DataSource(str(tmp_path / "sales-2024.csv"))
    with pytest.raises(InputError, match="there is no such file"):
        DataSource("x" * 5000)


def test_options_keywords_and_flags_of_reading_have_the_same_names() -> None:
    options = {each.name for each in fields(ReadingOptions)}
    assert options == set(ReadingKeywords.__annotations__)
    assert options == {each.name for each in fields(DataSource)} - {"data", "dataset"}
