"""The worked example runs as it stands, shortened, and forecasts better than the last value."""

import runpy
from pathlib import Path

import pandas as pd

from tracetune import Forecaster

EXAMPLE = Path(__file__).parents[2] / "examples" / "forecasting.py"


def test_forecasting(tmp_path: Path) -> None:
    errors = runpy.run_path(str(EXAMPLE))["main"](str(tmp_path), epochs=0.5).set_index("forecaster")
    assert errors.loc["model", "mse"] < errors.loc["repeat last", "mse"]
    forecast = pd.read_csv(tmp_path / "forecast.csv", parse_dates=["timestamp"])
    assert forecast["timestamp"].tolist() == list(pd.date_range("2009-01-01", periods=24, freq="MS"))
    assert (forecast["0.1"] <= forecast["0.9"]).all()
    assert forecast["predictions"].between(18, 30).all()
    assert (tmp_path / "forecast.png").stat().st_size > 1000
    assert Forecaster.from_pretrained(tmp_path / "adapter").trace["method"] == "trace"
