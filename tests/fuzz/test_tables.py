"""Damaged tables: whatever is done to a file, reading ends soon, in a panel or in a short message."""

import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fuzz.damaged_bytes import damaged, mutated_bytes, no_hang
from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table

_LONGEST = 2000


def base_frame() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=12).strftime("%Y-%m-%d")
    values = np.round(np.random.default_rng(0).normal(9, 2, 24), 2)
    return pd.DataFrame({"store": ["a"] * 12 + ["b"] * 12, "date": [*days, *days], "sales": values, "note": "n"})


def zoned_frame() -> pd.DataFrame:
    hours = pd.date_range("2023-10-28", periods=30, freq="h", tz="Europe/Berlin").astype(str)
    return pd.DataFrame({"ds": hours, "y": np.arange(30) % 7 + 0.5})


def header_frame() -> pd.DataFrame:
    days = [f"{day.month}/{day.day}/24" for day in pd.date_range("2024-01-01", periods=15)]
    values = pd.DataFrame(np.arange(45.0).reshape(3, 15) % 11, columns=days)
    return pd.concat([pd.Series(["x", "y", "z"], name="city"), values], axis=1)


FRAMES = (base_frame, zoned_frame, header_frame)


def text_file(rng: random.Random, folder: Path) -> Path:
    content = mutated_bytes(rng.choice(FRAMES)().to_csv(index=False).encode(), rng)
    path = folder / rng.choice(["a.csv", "a.txt", "a.tsv"])
    path.write_bytes(content)
    return path


def packed_file(rng: random.Random, folder: Path) -> Path:
    content = gzip.compress(mutated_bytes(base_frame().to_csv(index=False).encode(), rng))
    if rng.random() < 0.6:
        content = damaged(content, rng)
    path = folder / "a.csv.gz"
    path.write_bytes(content)
    return path


def parquet_file(rng: random.Random, folder: Path) -> Path:
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        table = pa.Table.from_pandas(base_frame().set_index(["store", "date"]))
        metadata = dict(table.schema.metadata or {})
        metadata[b"pandas"] = mutated_bytes(metadata[b"pandas"], rng)
        pq.write_table(table.replace_schema_metadata(metadata), buffer)
        content = buffer.getvalue()
    else:
        rng.choice(FRAMES)().to_parquet(buffer)
        content = damaged(buffer.getvalue(), rng)
    path = folder / "a.parquet"
    path.write_bytes(content)
    return path


def json_file(rng: random.Random, folder: Path) -> Path:
    records = json.loads(base_frame().to_json(orient="records"))
    odd = [None, {}, [], [1], {"a": 1}, "x", 1e300, -1, True, "2024-13-01", ""]
    for _ in range(rng.randint(0, 3)):
        rng.choice(records)[rng.choice(["store", "date", "sales", "more"])] = rng.choice(odd)
    path = folder / "a.json"
    path.write_bytes(
        mutated_bytes(json.dumps(records).encode(), rng) if rng.random() < 0.4 else json.dumps(records).encode()
    )
    return path


KINDS: dict[str, Callable[[random.Random, Path], Path]] = {
    "text": text_file,
    "gz": packed_file,
    "parquet": parquet_file,
    "json": json_file,
}


def check(kind: str, count: int, folder: Path, seed: int = 0) -> Counter[str]:
    """Read ``count`` damaged tables; how many were read and refused."""
    outcomes: Counter[str] = Counter()
    for number in range(count):
        path = KINDS[kind](random.Random(f"{kind} {seed} {number}"), folder)
        try:
            with no_hang():
                panel = read_table(path).panel
            assert len(panel) and all(np.isfinite(each.values[~np.isnan(each.values)]).all() for each in panel)  # noqa: PD011
            outcomes["read"] += 1
        except InputError as error:
            assert len(str(error)) < _LONGEST and len(error.for_command_line()) < _LONGEST
            outcomes["refused"] += 1
        except Exception as error:
            kept = folder / f"bad_{kind}_{number}{path.suffix}"
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"{kind} {seed} {number}: {type(error).__name__}: {error}") from error
    return outcomes


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tables_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    assert check(kind, 40, tmp_path)["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_tables(kind: str, seed: int, tmp_path: Path) -> None:
    outcomes = check(kind, 150, tmp_path, seed)
    assert outcomes["refused"] > 0
    print(kind, seed, dict(outcomes))
