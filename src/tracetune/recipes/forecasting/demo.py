"""A demonstration on a real series in a few minutes: fine-tune, forecast, compare with the truth, save, load again."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from tracetune.base.folders import require_empty, staged_folder
from tracetune.data.table_files import write_frame
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.fitting.config import HEAD_EPOCHS, FitConfig
from tracetune.fitting.methods.method import method_named
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.recipes.forecasting.settings import DemoConfig
from tracetune.recipes.weekly_co2 import weekly_co2
from tracetune.report.candidates import candidate_rows
from tracetune.report.forecast_plots import ForecastPanel, forecast_figure, shown_history
from tracetune.report.tables import frame_rows, print_table
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_LEVELS = (0.1, 0.9)


def demo(config: DemoConfig) -> None:
    """Fine-tune on weekly CO2 at Mauna Loa, forecast the last year, plot it beside the truth, save the adapter."""
    require_empty(config.output)
    console = Console()
    frame = weekly_co2()
    history, truth = frame[: -config.prediction_length], frame[-config.prediction_length :]
    console.print(f"Weekly CO2 at Mauna Loa: {len(frame):,} weeks, {int(frame['target'].isna().sum())} missing.")

    base = Forecaster.from_pretrained(config.model, config.prediction_length, device=config.device)
    tuned = base.fit(history, config=_fit_config(config), callbacks=[ProgressBar()])
    assert tuned.trace is not None
    print_table("Candidates on validation (scaled MSE)", candidate_rows(tuned.trace))

    with staged_folder(config.output) as folder:
        tuned.save_pretrained(folder / "adapter")
        reloaded = Forecaster.from_pretrained(folder / "adapter", device=config.device)
        forecast = reloaded.predict_df(history, _LEVELS)
        write_frame(frame, folder / "co2.csv")
        write_frame(forecast, folder / "forecast.csv")
        _plot(folder / "forecast.png", history, truth, forecast)
    print_table(
        f"The {config.prediction_length} weeks that were held back (scaled errors)",
        frame_rows(reloaded.evaluate(frame, test_length=config.prediction_length, season=52).overall),
    )
    console.print(f"Written to {config.output}: co2.csv, forecast.csv, forecast.png, adapter/ (PEFT's format)")
    _print_commands(config, reloaded)


def _print_commands(config: DemoConfig, tuned: Forecaster) -> None:
    then = DemoCommands(config.output, "co2.csv", "adapter", "forecasting", config.model)
    horizon = ["--prediction-length", str(config.prediction_length)]
    print_demo_commands(
        [
            then.on_made("predict", "--plot", str(Path(config.output) / "next.png"), output="next.csv"),
            then.on_made("evaluate", "--season", "52"),
            then.importance(tuned.model, *horizon),
        ],
        [then.on_table("finetune", *horizon), then.on_table("predict", output="forecast.csv")],
    )


def _fit_config(config: DemoConfig) -> FitConfig:
    return FitConfig(
        method=method_named(config.method),
        head_training=TrainingConfig(num_train_epochs=HEAD_EPOCHS, seed=config.seed),
        training=TrainingConfig(num_train_epochs=3, seed=config.seed),
    )


def _plot(path: Path, history: pd.DataFrame, truth: pd.DataFrame, forecast: pd.DataFrame) -> None:
    shown = history[-shown_history(len(history), len(truth)) :]
    panel = ForecastPanel(
        "CO2 at Mauna Loa, weekly (ppm)",
        shown["timestamp"].to_numpy(),
        shown["target"].to_numpy(),
        forecast["timestamp"].to_numpy(),
        forecast["predictions"].to_numpy(),
        truth["target"].to_numpy(),
        {level: forecast[str(level)].to_numpy() for level in _LEVELS},
    )
    forecast_figure([panel], path=path)
