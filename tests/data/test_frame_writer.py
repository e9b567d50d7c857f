"""Frames written piece by piece give the file that one frame gives, or none."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from tracetune.base.errors import InputError
from tracetune.data.frame_writer import write_frames
from tracetune.data.table_files import write_frame
from tracetune.data.text_marks import TextMarks


def forecasts(rows: int = 40, start: str = "2024-01-01", freq: str = "h") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"item {number}, a" for number in range(rows // 4)], 4),
            "timestamp": pd.date_range(start, periods=rows, freq=freq),
            "target_name": "target",
            "predictions": rng.normal(size=rows) * 1e6,
            "0.1": rng.normal(size=rows).astype(np.float64),
        }
    )


def cut(frame: pd.DataFrame, rows: int) -> list[pd.DataFrame]:
    return [frame[start : start + rows].reset_index(drop=True) for start in range(0, len(frame), rows)]


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.v1.csv"])
@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize(
    ("start", "freq"),
    [
        ("2024-01-01", "D"),
        ("2024-01-01", "h"),  # the first row is a midnight, the others are not
        ("2024-01-01 23:00", "h"),
        ("2024-01-01", "250ms"),
        ("2024-01-01", "100us"),
        ("2024-01-01", "7ns"),
    ],
)
def test_csv_has_the_bytes_of_one_frame(tmp_path: Path, name: str, rows: int, start: str, freq: str) -> None:
    frame = forecasts(start=start, freq=freq)
    write_frame(frame, tmp_path / f"whole.{name}")
    assert write_frames(cut(frame, rows), tmp_path / name) == len(frame)
    assert content(tmp_path / name) == content(tmp_path / f"whole.{name}")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_json_lines_have_the_bytes_of_one_frame(tmp_path: Path, rows: int) -> None:
    frame = forecasts()
    write_frame(frame, tmp_path / "whole.jsonl")
    assert write_frames(cut(frame, rows), tmp_path / "a.jsonl") == len(frame)
    assert content(tmp_path / "a.jsonl") == content(tmp_path / "whole.jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_pieces_have_the_marks_of_the_source(tmp_path: Path, name: str) -> None:
    frame, marks = forecasts(start="2024-01-01", freq="h"), TextMarks(";", ",")
    write_frame(frame, tmp_path / f"whole.{name}", marks)
    write_frames(cut(frame, 1), tmp_path / name, marks)  # times of the first piece are written anew, finer
    assert content(tmp_path / name) == content(tmp_path / f"whole.{name}")
    assert (
        frame["predictions"].tolist()
        == pd.read_csv(
            tmp_path / name, sep="\t" if name == "a.tsv" else ";", decimal=",", float_precision="round_trip"
        )["predictions"].tolist()
    )


def test_rewriting_finer_moments_leaves_every_cell_as_it_was(tmp_path: Path) -> None:
    frame = forecasts(start="2024-01-01", freq="D")
    frame["item_id"] = ["NA", "", '"q"', "a,b"] * 10
    frame.loc[39, "timestamp"] += pd.Timedelta(1, "ns")
    write_frame(frame, tmp_path / "whole.csv")
    write_frames(cut(frame, 4), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_integer_times_and_items(tmp_path: Path) -> None:
    frame = forecasts().assign(item_id=np.arange(40), timestamp=np.arange(40))
    write_frame(frame, tmp_path / "whole.csv")
    write_frames(cut(frame, 7), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parquet_has_the_frame_and_the_schema_of_one_frame(tmp_path: Path) -> None:
    frame = forecasts()
    write_frame(frame, tmp_path / "whole.parquet")
    assert write_frames(cut(frame, 7), tmp_path / "a.parquet") == len(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame, check_exact=True)
    schemas = [pyarrow.parquet.read_schema(tmp_path / name) for name in ("a.parquet", "whole.parquet")]
    assert schemas[0].equals(schemas[1])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, name: str) -> None:
    def failing() -> Iterator[pd.DataFrame]:
        yield from cut(forecasts(), 7)
        raise InputError("bad piece")

    with pytest.raises(InputError, match="bad piece"):
        write_frames(failing(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_before_the_first_frame_makes_no_folder(tmp_path: Path) -> None:
    def failing() -> Iterator[pd.DataFrame]:
        raise InputError("bad piece")
        yield

    with pytest.raises(InputError, match="bad piece"):
        write_frames(failing(), tmp_path / "new" / "a.csv")
    with pytest.raises(InputError, match="found none"):
        write_frames([], tmp_path / "new" / "a.csv")
    with pytest.raises(
        InputError, match=r"ending in one of \.csv, \.csv\.gz, \.tsv, \.parquet, \.jsonl, found 'a\.json'"
    ):
        write_frames([forecasts()], tmp_path / "new" / "a.json")
    assert list(tmp_path.iterdir()) == []
