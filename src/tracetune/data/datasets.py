"""Benchmark data by name: where the files lie, how they are split, under which licence, and how to fetch them.

What is known of each data set stands in ``datasets.json`` beside this file. Files are looked for in the folder
``$TRACETUNE_DATA``, then in ``~/.cache/tracetune/data``.
"""

import gzip
import hashlib
import json
import os
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, unknown_name
from tracetune.base.files import staged_file
from tracetune.base.json_types import JsonObject
from tracetune.data.panels import Panel
from tracetune.data.reading.files import read_raw
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_cells
from tracetune.data.splits import Borders

FOLDER_VARIABLE = "TRACETUNE_DATA"
KINDS = ("long", "short", "anomaly", "classification", "text")

_TIMEOUT_SECONDS = 60
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class DatasetFile:
    """One file of a data set.

    Attributes:
        path: where it lies inside the data folder.
        role: ``series``, ``train``, ``validation``, ``test``, ``labels`` or ``info``.
        sha256: digest of the bytes in the collection the benchmark was prepared with.
        content_sha256: digest of the uncompressed content, which is what a download is checked by.
        url: public address of the same content, None where no public file has it.
    """

    path: str
    role: str
    sha256: str
    content_sha256: str
    url: str | None


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set, known without opening its files.

    Attributes:
        name: how it is called everywhere in the package.
        kind: one of `KINDS`; ``long`` and ``short`` are forecasting data.
        files: its files.
        frequency: sampling interval in words.
        horizons: the prediction lengths H it is usually evaluated at.
        seasonality: steps of one season, 1 for none.
        borders: published split, None where files or the horizon are the split.
        licence: what its origin states.
        timestamp_column: name of the time column, None where there is none.
        note: what one has to know before using it.
    """

    name: str
    kind: str
    files: tuple[DatasetFile, ...]
    frequency: str
    horizons: tuple[int, ...]
    seasonality: int
    borders: Borders | None
    licence: str
    timestamp_column: str | None
    note: str


@dataclass(frozen=True, eq=False)
class LoadedDataset:
    """A forecasting data set in memory.

    Attributes:
        info: what is known of it.
        panel: its series; for ``short`` data only what a forecaster may see.
        borders: split of ``panel`` for ``long`` data, None for ``short``.
        test_panel: for ``short`` data the horizon that follows each series of ``panel``; None for ``long``.
    """

    info: DatasetInfo
    panel: Panel
    borders: Borders | None
    test_panel: Panel | None


def list_datasets(kind: str | None = None) -> list[str]:
    """Return names of all known data sets, or of those of one kind.

    Raises:
        InputError: no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind of data set", kind, KINDS)
    return [name for name, info in _registry().items() if kind in (None, info.kind)]


def dataset_info(name: str) -> DatasetInfo:
    """Return what is known of data set ``name``.

    Raises:
        InputError: no such data set; the nearest names are suggested.
    """
    if name not in _registry():
        raise unknown_name("data set", name, _registry())
    return _registry()[name]


def dataset_paths(name: str) -> dict[str, Path]:
    """Return the files of data set ``name`` on this machine, by their path inside the data folder.

    Raises:
        InputError: a file is nowhere; says where it was looked for and how to get it.
    """
    return {file.path: _find(name, file) for file in dataset_info(name).files}


def load_dataset(name: str) -> LoadedDataset:
    """Load a forecasting data set: rows as they stand in its files, because published splits count rows.

    Raises:
        InputError: no such data set, not a forecasting one, or its files are not here.
    """
    info = dataset_info(name)
    if info.kind not in ("long", "short"):
        raise InputError(
            f"Data set {name!r} is for {info.kind}, not for forecasting. Use dataset_paths({name!r}) for its files."
        )
    tables = {file.role: _panel(info, _find(name, file)) for file in info.files if file.role != "info"}
    if info.kind == "long":
        return LoadedDataset(info, tables["series"], info.borders, None)
    if "series" in tables:
        horizon = info.horizons[0]
        return LoadedDataset(info, tables["series"].cut(None, -horizon), None, tables["series"].cut(-horizon, None))
    return LoadedDataset(info, tables["train"], None, _continued(tables["train"], tables["test"]))


def download_dataset(name: str, folder: str | Path | None = None) -> list[Path]:
    """Fetch the files of data set ``name`` from their public addresses; a file already there whole is kept.

    Args:
        name: the data set.
        folder: data folder to fill; None means ``$TRACETUNE_DATA``, else ``~/.cache/tracetune/data``.

    Returns:
        The files, in the order of ``dataset_info(name).files``.

    Raises:
        InputError: a file has no public address, cannot be reached, or arrived with other content than expected.
    """
    info = dataset_info(name)
    private = [file.path for file in info.files if file.url is None]
    if private:
        raise InputError(
            f"Data set {name!r} cannot be downloaded: {', '.join(private)} has no public address in this form. "
            f"Copy the files into the folder that ${FOLDER_VARIABLE} names."
        )
    root = Path(folder or os.environ.get(FOLDER_VARIABLE) or _cache_folder())
    return [_download(file, root / file.path) for file in info.files]


@cache
def _registry() -> dict[str, DatasetInfo]:
    text = resources.files("tracetune.data").joinpath("datasets.json").read_text(encoding="utf-8")
    return {entry["name"]: _info(entry) for entry in json.loads(text)}


def _info(entry: JsonObject) -> DatasetInfo:
    parsed = {
        "files": tuple(DatasetFile(**file) for file in entry["files"]),
        "horizons": tuple(entry["horizons"]),
        "borders": Borders(*entry["borders"]) if entry["borders"] else None,
    }
    return DatasetInfo(**(entry | parsed))


def _search_folders() -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    return ([Path(named)] if named else []) + [_cache_folder()]


def _cache_folder() -> Path:
    return Path.home() / ".cache" / "tracetune" / "data"


def _find(name: str, file: DatasetFile) -> Path:
    places = [folder / file.path for folder in _search_folders()]
    for place in places:
        if place.is_file():
            return place
    remedy = (
        f"Get it with: tracetune datasets --download {name}; or set" if file.url else "It cannot be downloaded: set"
    )
    raise InputError(
        f"Data set {name!r} is not here. Looked for {', '.join(map(str, places))}. {remedy} {FOLDER_VARIABLE} to the "
        f"folder that holds {file.path}."
    )


def _panel(info: DatasetInfo, path: Path) -> Panel:
    """Return each row as one step; every column of a wide table but its time is a channel, whatever is in it."""
    raw = read_raw(path, ReadingOptions(separator=","))
    if info.timestamp_column is None:
        return read_cells(raw, ReadingOptions(layout="steps_in_header"), rows_as_steps=True).panel
    channels = tuple(name for name in raw.frame.columns if name != info.timestamp_column)
    options = ReadingOptions(timestamp_column=(info.timestamp_column,), target=channels, layout="wide")
    return read_cells(raw, options, rows_as_steps=True).panel


def _continued(train: Panel, test: Panel) -> Panel:
    """Return ``test`` with steps counted on from the end of ``train``; both list the same items in the same order."""
    if train.item_ids != test.item_ids:
        raise InputError("Expected the same items in the train and the test file. Restore both from their source.")
    series = [
        replace(future, timestamps=np.arange(length, length + len(future)))
        for length, future in zip(train.lengths, test, strict=True)
    ]
    return replace(test, series=tuple(series))


def _download(file: DatasetFile, target: Path) -> Path:
    if target.is_file() and _content_digest(target) == file.content_sha256:
        return target
    content = _uncompressed(_fetch(str(file.url)), str(file.url))
    found = hashlib.sha256(content).hexdigest()
    if found != file.content_sha256:
        raise InputError(
            f"{file.url} holds other data than expected: sha256 {found}, expected {file.content_sha256}. Nothing was "
            "kept. The origin may have changed; results would not be comparable."
        )
    with staged_file(target) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if target.suffix == ".gz" else content)
    return target


def _content_digest(path: Path) -> str | None:
    """Return the digest of the uncompressed content of a file, None if it is damaged."""
    try:
        return hashlib.sha256(_uncompressed(path.read_bytes(), str(path))).hexdigest()
    except InputError:
        return None


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return bytes(response.read())
    except (OSError, urllib.error.URLError) as error:
        raise InputError(f"{url} cannot be fetched: {error}. Check the connection and try again.") from error


def _uncompressed(content: bytes, source: str) -> bytes:
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{source} is damaged or cut short: {error}. Try again.") from error
