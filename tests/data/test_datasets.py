import dataclasses
import gzip
import hashlib

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.data import datasets
from tracetune.data.datasets import (
    KINDS,
    DatasetFile,
    dataset_info,
    dataset_paths,
    download_dataset,
    list_datasets,
    load_dataset,
)
from tracetune.data.splits import Borders

CONTENT = b"date,OT\n" + b"".join(b"2024-01-01 %02d:00:00,%d\n" % (hour, hour) for hour in range(24))


def present(name):
    try:
        dataset_paths(name)
    except InputError:
        return False
    return True


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """No data anywhere that is searched."""
    monkeypatch.delenv("TRACETUNE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """A known data set ``ETTh1`` whose public address is a file of this machine."""
    source = tmp_path / "origin.csv"
    source.write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = DatasetFile("long/ETTh1.csv.gz", "series", "", digest, source.as_uri())
    info = dataclasses.replace(dataset_info("ETTh1"), files=(file,), borders=Borders(10, 15, 24))
    monkeypatch.setattr(datasets, "_registry", lambda: {"ETTh1": info})
    return source


def test_every_kind_is_listed_and_names_are_unique():
    assert sum(len(list_datasets(kind)) for kind in KINDS) == len(set(list_datasets()))
    assert {"ETTh1", "weather", "national_illness"} <= set(list_datasets("long"))
    assert {"m1_yearly", "m3_other", "m4_hourly", "airpassengers"} <= set(list_datasets("short"))
    assert {"ucr_135", "nab/nyc_taxi"} <= set(list_datasets("anomaly"))
    assert "ECG5000" in list_datasets("classification")
    assert "cola" in list_datasets("text")


@pytest.mark.parametrize("name", list_datasets())
def test_entries_are_whole(name):
    info = dataset_info(name)
    assert info.files and info.licence and info.frequency and info.seasonality >= 1
    assert all(len(file.sha256) == len(file.content_sha256) == 64 for file in info.files)
    assert bool(info.borders) == (info.kind == "long")
    assert bool(info.horizons) == (info.kind in ("long", "short"))


def test_published_splits():
    assert dataset_info("ETTh1").borders == Borders(8640, 11520, 14400)
    assert dataset_info("ETTm2").borders == Borders(34560, 46080, 57600)
    assert dataset_info("national_illness").borders == Borders.from_fractions(966)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"Unknown data set 'ETTh3'\. Did you mean 'ETTh"):
        dataset_info("ETTh3")
    with pytest.raises(InputError, match=r"Unknown kind of data set 'lang'.*'long'"):
        list_datasets("lang")


def test_only_forecasting_data_is_loaded_as_a_panel():
    with pytest.raises(InputError, match=r"is for classification, not for forecasting\. Use dataset_paths"):
        load_dataset("ECG200")


def test_missing_files_say_where_they_were_looked_for(empty_machine, monkeypatch):
    monkeypatch.setenv("TRACETUNE_DATA", str(empty_machine / "mine"))
    with pytest.raises(InputError) as caught:
        load_dataset("ETTh1")
    message = str(caught.value)
    for place in ("mine", "home/.cache/tracetune/data"):
        assert str(empty_machine / place / "forecast_long" / "ETTh1.csv.gz") in message
    assert "tracetune datasets --download ETTh1" in message
    with pytest.raises(InputError, match="It cannot be downloaded: set TRACETUNE_DATA"):
        load_dataset("m3_yearly")


def test_download_fills_the_cache_and_loads(empty_machine, origin):
    (path,) = download_dataset("ETTh1")
    assert path == empty_machine / "home/.cache/tracetune/data/long/ETTh1.csv.gz"
    assert gzip.decompress(path.read_bytes()) == CONTENT
    loaded = load_dataset("ETTh1")
    assert loaded.panel.lengths == (24,)
    assert (loaded.borders, loaded.test_panel) == (Borders(10, 15, 24), None)


def test_a_whole_file_is_kept_and_a_damaged_one_replaced(empty_machine, origin):
    (path,) = download_dataset("ETTh1", empty_machine / "data")
    first = path.stat().st_mtime_ns
    download_dataset("ETTh1", empty_machine / "data")
    assert path.stat().st_mtime_ns == first
    path.write_bytes(path.read_bytes()[:40])
    download_dataset("ETTh1", empty_machine / "data")
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_a_compressed_origin_is_checked_by_its_content(empty_machine, origin):
    origin.write_bytes(gzip.compress(CONTENT))
    (path,) = download_dataset("ETTh1", empty_machine / "data")
    assert gzip.decompress(path.read_bytes()) == CONTENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT + b"more", "holds other data than expected: sha256 .*Nothing was kept"),
        (gzip.compress(CONTENT)[:30], "damaged or cut short"),
        (None, "cannot be fetched"),
    ],
    ids=["other", "cut", "missing"],  # a compressed file has its time in it: workers would not agree on a name
)
def test_a_wrong_download_leaves_no_file(empty_machine, origin, content, message):
    if content is None:
        origin.unlink()
    else:
        origin.write_bytes(content)
    with pytest.raises(InputError, match=message):
        download_dataset("ETTh1", empty_machine / "data")
    assert not list(empty_machine.glob("data/**/*.gz"))


def test_files_without_public_address_cannot_be_downloaded(tmp_path):
    with pytest.raises(InputError, match=r"'m1_yearly' cannot be downloaded: .*Yearly-train\.csv\.gz.*TRACETUNE_DATA"):
        download_dataset("m1_yearly", tmp_path)


@pytest.mark.skipif(not present("weather"), reason="the data set weather is not on this machine")
def test_weather_is_loaded_row_by_row():
    loaded = load_dataset("weather")
    assert (loaded.panel.lengths, len(loaded.panel.channels), loaded.panel.freq) == ((52696,), 21, "10min")
    assert loaded.panel.series[0].values.min() == -9999


@pytest.mark.skipif(not present("m4_weekly"), reason="the data set m4_weekly is not on this machine")
def test_m4_test_rows_continue_the_train_rows():
    loaded = load_dataset("m4_weekly")
    assert len(loaded.panel) == 359
    assert set(loaded.test_panel.lengths) == {13}
    for seen, future in zip(loaded.panel, loaded.test_panel, strict=True):
        np.testing.assert_array_equal(future.timestamps, loaded.panel.future_timestamps(seen, 13))


@pytest.mark.skipif(not present("airpassengers"), reason="the data set airpassengers is not on this machine")
def test_classic_series_keep_their_last_horizon_for_the_test():
    loaded = load_dataset("airpassengers")
    assert (loaded.panel.lengths, loaded.test_panel.lengths, loaded.panel.freq) == ((132,), (12,), "MS")
    assert loaded.test_panel.series[0].values[0, -1] == 432


@pytest.mark.parametrize("name", list_datasets())
def test_files_here_are_the_ones_described(name):
    if not present(name):
        pytest.skip(f"the data set {name} is not on this machine")
    paths = dataset_paths(name)
    for file in dataset_info(name).files:
        content = paths[file.path].read_bytes()
        plain = gzip.decompress(content) if file.path.endswith(".gz") else content
        assert hashlib.sha256(plain).hexdigest() == file.content_sha256
