"""Tables with a series in each row: as GluonTS and Hugging Face write them, beside the same series in rows of steps."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from pyarrow import parquet

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_table

VALUES = {"a": [1.0, 2.5, None, 4.0, 3.0, 6.0, 2.0], "b": [5.0, 4.0, 3.5, 1.0, 2.0]}
STARTS = {"a": "2020-01-01", "b": "2020-03-01"}


def times(name: str) -> pd.DatetimeIndex:
    return pd.date_range(STARTS[name], periods=len(VALUES[name]), freq="MS")


def require_series(panel: Panel, channels: int = 1) -> None:
    """Check that a panel has both series, with their times."""
    assert panel.freq == "MS"
    for series, name in zip(panel, VALUES, strict=True):
        np.testing.assert_array_equal(series.values, [np.array(VALUES[name], float)] * channels)
        np.testing.assert_array_equal(series.timestamps, times(name))


def gluonts(folder: Path, **more: list) -> Path:
    """Write JSON lines as GluonTS has them."""
    rows = [{"start": f"{STARTS[name]} 00:00:00", "target": VALUES[name]} for name in VALUES]
    rows = [row | {key: cells[place] for key, cells in more.items()} for place, row in enumerate(rows)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "train.jsonl"


def test_lines_of_gluonts(tmp_path: Path) -> None:
    path = gluonts(tmp_path, item_id=["a", "b"], feat_static_cat=[[0], [1]])
    with pytest.raises(InputError, match="nothing how long a step is"):
        read_table(path)
    reading = read_table(
        path, remembered=read_table(path, ReadingOptions(freq="MS")).options
    )  # as a saved model reads it
    assert reading.panel.item_ids == ("a", "b")
    require_series(reading.panel)
    assert "'feat_static_cat': not as long as the series" in str(reading.notes[0])


@pytest.mark.parametrize("freq", ["M", "MS"])  # M as periods are written
def test_series_without_names_are_numbered_and_a_column_may_say_the_frequency(tmp_path: Path, freq: str) -> None:
    panel = read_table(gluonts(tmp_path, freq=[freq, freq])).panel
    assert panel.item_ids == ("1", "2")
    require_series(panel)


def test_lists_of_times_beside_lists_of_values(tmp_path: Path) -> None:
    table = pa.table(
        {"id": list(VALUES), "timestamp": [times(name).to_pydatetime() for name in VALUES], "target": VALUES.values()}
    )
    parquet.write_table(table, tmp_path / "set.parquet")
    for source in (tmp_path / "set.parquet", table, table.to_pandas(), polars.from_arrow(table)):
        require_series(read_table(source).panel)


def test_lists_of_channels_are_channels() -> None:
    target = [[cells, cells] for cells in VALUES.values()]
    frame = pd.DataFrame({"start": STARTS.values(), "freq": "M", "target": target})
    panel = read_table(frame, every_channel=True).panel
    assert panel.channels == ("target_0", "target_1")
    require_series(panel, channels=2)
    frame["target"] = [target[0], target[1][:1]]
    with pytest.raises(InputError, match="2 channels of one length in each row"):
        read_table(frame)


def test_without_a_start_steps_are_numbered() -> None:
    panel = read_table(pd.DataFrame({"item_id": list(VALUES), "target": list(VALUES.values())})).panel
    assert panel.freq is None and panel.lengths == (7, 5)


def test_other_lists_are_refused_as_ever() -> None:
    frame = pd.DataFrame({"timestamp": times("a"), "target": VALUES["a"], "tags": [["x"]] * 7})
    with pytest.raises(InputError, match="Column 'tags' holds list"):
        read_table(frame)
