"""Tables in chunks: together they are the whole table, and what does not fit together is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel
from tracetune.data.reading import chunks
from tracetune.data.reading.chunks import _SeenItems
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_table

LENGTHS = (5, 1, 12, 7, 3, 9)


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first few rows decide, so that later pieces are read as they settled."""
    monkeypatch.setattr(chunks, "_SAMPLE_ROWS", 5)


def read_panels(path: Path, chunk_rows: int, **options: object):
    return chunks.read_panels(path, chunk_rows, ReadingOptions(**({"target": ("target", "price")} | options)))


def whole_panel(path: Path, **options: object) -> Panel:
    return read_table(path, ReadingOptions(**({"target": ("target", "price")} | options))).panel


def long_frame(lengths: tuple[int, ...] = LENGTHS, freq: str = "h") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "item_id": f"{number:03d}",
                "timestamp": pd.date_range("2024-01-01", periods=length, freq=freq) + pd.Timedelta(number, "D"),
                "target": rng.normal(size=length),
                "price": rng.normal(size=length),
            }
        )
        for number, length in enumerate(lengths)
    ]
    return pd.concat(frames, ignore_index=True)


def saved(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=8)
    else:
        frame.to_csv(path, index=False)
    return path


def assert_same(chunks: list[Panel], whole: Panel) -> None:
    series = [one for panel in chunks for one in panel]
    assert [one.item_id for one in series] == list(whole.item_ids)
    for one, expected in zip(series, whole, strict=True):
        np.testing.assert_array_equal(one.timestamps, expected.timestamps)
        np.testing.assert_array_equal(one.values, expected.values)
    for panel in chunks:
        for name in ("channels", "freq", "origin"):
            assert getattr(panel, name) == getattr(whole, name)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
@pytest.mark.parametrize("chunk_rows", [1, 4, 10, 1000])
def test_pieces_are_the_whole_table(tmp_path: Path, name: str, chunk_rows: int) -> None:
    frame = long_frame().drop(index=[8, 20])  # gaps
    frame.loc[[3, 30], "target"] = np.nan
    path = saved(frame, tmp_path / name)
    chunks = list(read_panels(path, chunk_rows, freq="h"))
    assert_same(chunks, whole_panel(path, freq="h"))
    assert len(chunks) == 1 if chunk_rows == 1000 else len(chunks) > 1


def test_pieces_have_about_the_asked_size(tmp_path: Path) -> None:
    path = saved(long_frame((4,) * 100), tmp_path / "a.parquet")  # row groups of 8 rows
    sizes = [sum(panel.lengths) for panel in read_panels(path, 50)]
    assert sum(sizes) == 400
    assert all(40 <= size <= 60 for size in sizes[:-1])


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=12), chunk_rows=st.integers(1, 60))
def test_any_lengths_and_sizes(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], chunk_rows: int) -> None:
    path = saved(long_frame(tuple(lengths)), tmp_path_factory.mktemp("a") / "a.csv")
    assert_same(list(read_panels(path, chunk_rows, freq="h")), whole_panel(path, freq="h"))


def test_the_frequency_of_the_first_piece_holds(tmp_path: Path) -> None:
    path = saved(long_frame((12, 1, 1, 2, 9)), tmp_path / "a.csv")  # pieces with single rows have none of their own
    assert_same(list(read_panels(path, 2)), whole_panel(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.rename(columns={"item_id": "unique_id", "timestamp": "ds"}),
        lambda frame: frame.assign(timestamp=frame["timestamp"].dt.tz_localize("Asia/Tokyo")),
        lambda frame: frame.assign(timestamp=np.arange(len(frame))),
        lambda frame: frame.assign(timestamp=frame["timestamp"].dt.strftime("%m/%d/%Y %H:%M")),
        lambda frame: frame.assign(timestamp=frame["timestamp"].dt.strftime("%d %B %Y %H:%M")),
        lambda frame: frame.assign(price=np.where(frame.index > 30, 1.0, np.nan)),  # seen in the last piece only
        lambda frame: frame.assign(name="text"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_layouts_and_dates(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], name: str) -> None:
    path = saved(change(long_frame((12, 10, 11, 14))), tmp_path / name)
    options = {"day_first": False}
    assert_same(list(read_panels(path, 8, **options)), whole_panel(path, **options))


def test_items_in_the_index_of_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    long_frame().set_index(["item_id", "timestamp"]).to_parquet(path)
    assert_same(list(read_panels(path, 8)), whole_panel(path))


@pytest.mark.parametrize("names", [["7", "8", "9", "10"], ["007", "8", "9", "b"], ["NA1", "2", "3", "4"]])
def test_items_of_a_named_column_are_numbers_or_text_as_in_the_whole(tmp_path: Path, names: list[str]) -> None:
    frame = long_frame((12, 10, 11, 14))
    frame["store"] = [names[int(item)] for item in frame["item_id"]]
    path = saved(frame.drop(columns="item_id"), tmp_path / "a.csv")
    whole = whole_panel(path, id_column="store")
    assert_same(list(read_panels(path, 8, id_column="store")), whole)
    assert isinstance(whole.series[0].key[0], int) == (names[0] == "7")


def test_items_that_are_numbers_at_first_and_text_later_are_refused(tmp_path: Path) -> None:
    frame = long_frame((12, 10, 11))
    frame["store"] = ["7ab"[int(item)] for item in frame["item_id"]]
    path = saved(frame.drop(columns="item_id"), tmp_path / "a.csv")
    with pytest.raises(InputError, match="by whole numbers at first, then by text"):
        list(read_panels(path, 8, id_column="store"))


def test_m4_tables(tmp_path: Path) -> None:
    rows = np.arange(24.0).reshape(6, 4)
    rows[2, 2:] = np.nan
    frame = pd.DataFrame(rows, columns=["V2", "V3", "V4", "V5"])
    frame.insert(0, "V1", ["07", "8", "9", "10", "11", "12"])
    path = saved(frame, tmp_path / "a.csv")
    assert_same(list(read_panels(path, 2, target=())), whole_panel(path, target=()))


def test_unordered_rows_are_sorted_within_items(tmp_path: Path) -> None:
    frame = long_frame((12, 10, 11)).groupby("item_id", group_keys=False).sample(frac=1, random_state=0)
    path = saved(frame, tmp_path / "a.csv")
    assert_same(list(read_panels(path, 8, sort=True)), whole_panel(path, sort=True))
    with pytest.raises(InputError, match="are not in order"):
        list(read_panels(path, 8))


@pytest.mark.parametrize("chunk_rows", [1, 8, 20, 1000])
@pytest.mark.parametrize("cut", [3, 9])
def test_an_item_that_comes_back_is_refused(tmp_path: Path, chunk_rows: int, cut: int) -> None:
    frame = long_frame((12, 10, 11))
    path = saved(pd.concat([frame[:cut], frame[12:], frame[cut:12]]), tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"Item '000' comes back .* Sort the file by item \(column 'item_id'\)"):
        list(read_panels(path, chunk_rows))


def test_panels_before_a_returning_item_are_there(tmp_path: Path) -> None:
    frame = long_frame((12, 10, 11))
    path = saved(pd.concat([frame, frame[:3]]), tmp_path / "a.csv")
    panels = read_panels(path, 12)
    assert next(panels).item_ids == ("000", "001")
    with pytest.raises(InputError, match="comes back"):
        list(panels)


def other_steps(frame: pd.DataFrame) -> pd.DataFrame:
    later = frame["item_id"] == "002"
    times = pd.date_range("2024-02-01", periods=int(later.sum()), freq="2h")
    frame.loc[later, "timestamp"] = times
    return frame


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_steps, r"Expected one frequency in a table, found two: that of the first rows is 'h', item '002'"),
        (lambda frame: frame.assign(timestamp=np.arange(33) * np.where(frame.index >= 22, 2, 1)), "usual step of 1"),
        (
            lambda frame: frame.assign(
                timestamp=np.where(frame.index >= 22, "13/02/2024", frame["timestamp"].dt.strftime("%m/%d/%Y %H:%M"))
            ),
            "to hold dates as '%m/%d/%Y %H:%M', found '13/02/2024' in row",
        ),
        (
            lambda frame: frame.assign(
                timestamp=np.where(frame.index >= 22, "13/02/2024", frame["timestamp"].astype(str))
            ),
            "found '13/02/2024' in row",
        ),
        (
            lambda frame: frame.assign(
                timestamp=np.where(frame.index >= 22, frame.index, frame["timestamp"].astype(str))
            ),
            "but the timestamps are integers",
        ),
        (lambda frame: frame.assign(target=np.where(frame.index == 23, np.inf, 1.0)), r"infinite values \(first: row"),
        (lambda frame: frame.assign(price=np.nan), "Column 'price' has no value at all"),
        (lambda frame: frame[:0], "Expected a table with rows"),
        (lambda frame: frame.drop(columns="item_id"), "chunk_rows reads long tables.*leave chunk_rows out"),
        (lambda frame: frame.drop(columns="target"), "Expected column 'target'; found"),
        (lambda frame: frame.assign(item_id=np.where(frame.index == 23, None, frame["item_id"])), "1 rows have none"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_what_does_not_fit_is_refused(
    tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str, name: str
) -> None:
    frame = spoil(long_frame((12, 10, 11)))
    if name.endswith("parquet") and frame["timestamp"].dtype == object:
        frame["timestamp"] = frame["timestamp"].astype(str)
    path = saved(frame, tmp_path / name)
    with pytest.raises(InputError, match=message):
        list(read_panels(path, 8, day_first=False))


@pytest.mark.parametrize("first", [0, 1])
def test_a_zone_in_some_pieces_only_is_refused(tmp_path: Path, first: int) -> None:
    frame = long_frame((12, 10, 11))
    zoned = (frame["item_id"] == "002") == bool(first)
    frame["timestamp"] = frame["timestamp"].astype(str) + np.where(zoned, "+02:00", "")
    with pytest.raises(InputError, match="Its times are of another kind than those of the first rows"):
        list(read_panels(saved(frame, tmp_path / "a.csv"), 8))


def test_paths_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_panels(tmp_path / "no.csv", 10)
    with pytest.raises(InputError, match=r"ending in one of \.csv"):
        (tmp_path / "a.exe").write_text("a")
        read_panels(tmp_path / "a.exe", 10)
    path = saved(long_frame(), tmp_path / "a.csv")
    with pytest.raises(InputError, match="chunk_rows of at least 1, found 0"):
        read_panels(path, 0)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    path = saved(long_frame((400, 400)), tmp_path / name)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged or cut short"):
        list(read_panels(path, 10))


def test_the_memory_of_names_finds_every_repetition() -> None:
    rng = np.random.default_rng(0)
    seen, known = _SeenItems(), set()
    for _ in range(200):
        names = [str(number) for number in np.unique(rng.integers(0, 20_000, 7))]
        repeated = sorted(known.intersection(names))
        found = seen.add(names)
        assert (found is None) == (not repeated)
        assert found is None or found in repeated
        known |= set(names) if found is None else set()
    assert sum(map(len, seen._sorted)) == len(known)
    assert len(seen._sorted) <= 12
