"""Prediction of a file in chunks: the file that prediction of the whole gives, or none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.report.svg import texts
from tests.tiny import HORIZON, save_tiny, seasonal_frame
from tracetune import Adjustment, FitConfig, Forecaster, HeadConfig, InputError
from tracetune.base.config import from_mapping
from tracetune.recipes.forecasting.predict import predict
from tracetune.recipes.forecasting.settings import PredictConfig


def config_of(**options: Any) -> PredictConfig:
    return from_mapping(PredictConfig, options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fine-tuned model, so that there are quantiles."""
    folder = tmp_path_factory.mktemp("model")
    base = Forecaster.from_pretrained(save_tiny(folder / "base"), HORIZON, device="cpu")
    config = FitConfig(method="linear_probe", head=HeadConfig("projection", beta=2))
    base.fit(seasonal_frame(), config=config).save_pretrained(folder / "tuned")
    return str(folder / "tuned")


def many(items: int = 9) -> pd.DataFrame:
    frame = seasonal_frame(items, length=70)
    frame["target"] = frame.groupby("item_id")["target"].transform(lambda values: values / values.abs().mean())
    phase = pd.to_timedelta(frame["item_id"].str[-1:].astype(int) % 4, unit="h")
    return frame.assign(timestamp=frame["timestamp"] + phase, other=np.arange(len(frame)) % 7.0)


@pytest.mark.parametrize("source", ["data.csv", "data.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("chunk_rows", [1, 200, 10_000])
def test_chunks_give_the_file_of_the_whole(
    model: str, tmp_path: Path, source: str, output: str, chunk_rows: int, capsys: pytest.CaptureFixture
) -> None:
    data, whole, chunks = tmp_path / source, tmp_path / f"whole_{output}", tmp_path / output
    many(5).to_csv(data, index=False) if source.endswith("csv") else many(5).to_parquet(data)
    options = {"data": str(data), "model": model, "quantiles": ("0.1", "0.9"), "batch_size": 4, "device": "cpu"}
    predict(config_of(**options, output=str(whole)))
    predict(config_of(**options, output=str(chunks), chunk_rows=chunk_rows))
    assert capsys.readouterr().out.count(f"{5 * HORIZON} rows written") == 2
    if output.endswith("csv"):
        assert chunks.read_bytes() == whole.read_bytes()
    else:
        pd.testing.assert_frame_equal(pd.read_parquet(chunks), pd.read_parquet(whole), check_exact=True)


def test_forecasts_are_written_with_the_marks_of_the_table(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    many(2).to_csv(tmp_path / "data.csv", index=False, sep=";", decimal=",")
    options = {"data": str(tmp_path / "data.csv"), "model": model, "device": "cpu"}
    predict(config_of(**options, output=str(tmp_path / "whole.csv")))
    predict(config_of(**options, output=str(tmp_path / "chunks.csv"), chunk_rows=100))
    assert " ".join(capsys.readouterr().out.split()).count("(semicolons between cells, decimal commas") == 2
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "chunks.csv").read_bytes()
    found = pd.read_csv(tmp_path / "whole.csv", sep=";", decimal=",")
    assert len(found) == 2 * HORIZON and found["predictions"].dtype == float


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_an_item_that_comes_back_leaves_no_output(model: str, tmp_path: Path, output: str) -> None:
    frame = many()
    pd.concat([frame[10:], frame[:10]]).to_csv(tmp_path / "data.csv", index=False)
    config = config_of(data=str(tmp_path / "data.csv"), model=model, output=str(tmp_path / output), chunk_rows=100)
    with pytest.raises(InputError, match=r"Item 'item0' comes back after other items: .* Sort the file by item"):
        predict(config)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_wide_tables_do_not_come_in_chunks(model: str, tmp_path: Path) -> None:
    dates = pd.date_range("2024-01-01", periods=80, freq="h")
    frame = pd.DataFrame({"date": dates, "a": np.arange(80.0), "b": np.arange(80.0)})
    frame.to_csv(tmp_path / "wide.csv", index=False)
    options = {"data": str(tmp_path / "wide.csv"), "model": model, "output": str(tmp_path / "new" / "out.csv")}
    options |= {"target": ("a", "b")}
    with pytest.raises(InputError, match=r"found no item column .* 'date', 'a', 'b'.* leave chunk_rows out"):
        predict(config_of(**options, chunk_rows=10))
    assert not (tmp_path / "new").exists()
    predict(config_of(**options))


def test_wrong_options_are_refused_before_the_work(tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.touch()
    with pytest.raises(InputError, match="chunk_rows of at least 1, found 0"):
        config_of(data=str(data), chunk_rows=0)
    with pytest.raises(InputError, match="do not go together"):
        config_of(data=str(data), chunk_rows=5, plot="a.png")
    for wrong, message in (
        ({"output": "a.json", "chunk_rows": 5}, r"one of \.csv, \.csv\.gz, \.tsv, \.parquet, \.jsonl, found 'a\.json'"),
        ({"output": "b.csv", "plot": "a.txt"}, r"ends in \.png, .* found 'a\.txt'"),
        ({"output": "b.csv", "plot": "."}, "ends in"),
    ):
        with pytest.raises(InputError, match=message):
            predict(config_of(data=str(data), **wrong))


def test_a_picture_is_drawn_with_intervals_that_the_table_does_not_get(model: str, tmp_path: Path) -> None:
    many().to_csv(tmp_path / "data.csv", index=False)
    output, plot = tmp_path / "out.csv", tmp_path / "forecast.svg"
    config = config_of(data=str(tmp_path / "data.csv"), model=model, output=str(output), plot=str(plot), device="cpu")
    predict(config)
    assert list(pd.read_csv(output).columns) == ["item_id", "timestamp", "target_name", "predictions"]
    found = texts(plot)
    assert {"history", "forecast", "80 % interval", "item0"} <= set(found)
    assert "Forecast of data.csv, 12 steps, 6 of 9 series" in found
    with pytest.raises(InputError, match="exists already"):
        predict(config_of(data=str(tmp_path / "data.csv"), model=model, output=str(tmp_path / "b.csv"), plot=str(plot)))


def test_trend_and_season_are_taken_out_as_in_python(tmp_path: Path) -> None:
    data, base = tmp_path / "data.csv", save_tiny(tmp_path / "base")
    many(3).drop(columns="other").to_csv(data, index=False)
    options = {"data": str(data), "model": str(base), "prediction_length": HORIZON, "device": "cpu"}
    read = {"resolution": ("2",), "adjust_trend": 0.5, "adjust_season": 24}
    predict(config_of(**options, **read, output=str(tmp_path / "out.csv")))
    model = Forecaster.from_pretrained(base, HORIZON, resolution=2, adjustment=Adjustment(0.5, 24), device="cpu")
    expected = model.predict_df(pd.read_csv(data))
    found = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(found["predictions"], expected["predictions"], rtol=1e-6)
    with pytest.raises(InputError, match="share from 0 to 1, found 2"):
        predict(config_of(**options, adjust_trend=2.0, output=str(tmp_path / "none.csv")))
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "%-m/%-d/%Y %-I:%M %p", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ"])
def test_times_are_written_as_the_table_writes_them(model: str, tmp_path: Path, form: str) -> None:
    frame = seasonal_frame(length=100)
    frame["timestamp"] = frame["timestamp"].dt.strftime(form)
    frame.to_csv(tmp_path / "all.csv", index=False)
    past = frame.groupby("item_id").head(100 - HORIZON)
    past.to_csv(tmp_path / "past.csv", index=False)
    later = frame.groupby("item_id").tail(HORIZON)["timestamp"].tolist()
    options = {"data": str(tmp_path / "past.csv"), "model": model, "device": "cpu"}
    predict(config_of(**options, output=str(tmp_path / "whole.csv")))
    assert pd.read_csv(tmp_path / "whole.csv")["timestamp"].tolist() == later
    predict(config_of(**options, output=str(tmp_path / "chunks.csv"), chunk_rows=50))
    assert pd.read_csv(tmp_path / "chunks.csv")["timestamp"].tolist() == later
    predict(config_of(**options, output=str(tmp_path / "whole.parquet")))
    assert pd.api.types.is_datetime64_any_dtype(pd.read_parquet(tmp_path / "whole.parquet")["timestamp"])


def test_times_whose_form_is_not_kept_are_said_once(model: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = seasonal_frame(length=100)
    frame["hour"] = frame["timestamp"].dt.hour
    frame["timestamp"] = frame["timestamp"].dt.strftime("%d.%m.%Y")
    frame.to_csv(tmp_path / "past.csv", index=False)
    options = {"data": str(tmp_path / "past.csv"), "timestamp_column": ("timestamp", "hour"), "model": model}
    predict(config_of(**options, device="cpu", output=str(tmp_path / "out.csv")))
    assert capsys.readouterr().out.count("have a form that is not kept") == 1
    assert pd.read_csv(tmp_path / "out.csv")["timestamp"].str.match(r"\d{4}-\d\d-\d\d ").all()
