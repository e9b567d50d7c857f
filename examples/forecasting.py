"""Forecast two years of sea surface temperature (El Nino region, monthly since 1950) with a fine-tuned model.

Run it with ``python examples/forecasting.py``: a minute on a laptop CPU. The series ships with statsmodels.
"""

import sys
from pathlib import Path

import pandas as pd
from statsmodels.datasets import elnino

from tracetune import FitConfig, Forecaster, SelectionConfig, Trace, TrainingConfig

HORIZON = 24


def sea_surface_temperature() -> pd.DataFrame:
    """Return monthly means in degrees Celsius, 1950 to 2010, as a long frame: item_id, timestamp, target."""
    months = elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()  # one row a year, one column a month
    timestamps = pd.date_range("1950-01-01", periods=len(months), freq="MS")
    return pd.DataFrame({"item_id": "nino", "timestamp": timestamps, "target": months})


def main(output: str = "runs/nino", epochs: float = 10.0) -> pd.DataFrame:
    """Fine-tune on all but the last two years, compare with them, save model, forecast and picture to ``output``."""
    frame = sea_surface_temperature()
    history = frame[:-HORIZON]

    config = FitConfig(
        method=Trace(SelectionConfig(keep=0.5)),  # half of the 42 LoRA modules stay
        training=TrainingConfig(num_train_epochs=epochs),
    )
    base = Forecaster.from_pretrained("tracetune/tiny", prediction_length=HORIZON)
    tuned = base.fit(history, config=config)
    tuned.save_pretrained(Path(output) / "adapter")

    again = Forecaster.from_pretrained(Path(output) / "adapter")
    forecast = again.predict_df(history, quantile_levels=[0.1, 0.9])
    forecast.to_csv(Path(output) / "forecast.csv", index=False)
    title = "Sea surface temperature, degrees Celsius"
    again.plot(frame, Path(output) / "forecast.png", hold_back=HORIZON, title=title)
    return again.evaluate(frame, test_length=HORIZON, season=12).overall  # the two years, beside the naive forecasts


if __name__ == "__main__":
    print(main(*sys.argv[1:2]).to_string(index=False))
