"""Results of a fine-tuning run: pictures in the folder, a summary on the terminal, the next commands."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tracetune.base.json_types import JsonObject
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.report.importance_plots import HISTORY_FILE, draw_history
from tracetune.report.training_plots import plot_training
from tracetune.tasks.forecasting.data import WindowCounts

VALIDATION_FILE = "validation.png"


def draw_run(tuned: Forecaster, panel: Panel, split: PanelSplit, folder: Path) -> None:
    """Draw the losses, the rounds of TRACE, and forecasts of the validation part beside what came."""
    assert tuned.trace is not None, "it was fine-tuned"
    for phase, history in tuned.history.items():
        plot_training(folder / f"training_{phase.replace('-', '_')}.png", history)
    if tuned.trace["selection"] is not None:
        draw_history(folder / HISTORY_FILE, tuned.trace["selection"])
    draw_validation(tuned, panel, split, folder / VALIDATION_FILE)


def draw_validation(tuned: Forecaster, panel: Panel, split: PanelSplit, path: Path) -> None:
    """Draw the last forecast of the validation part for up to six series; series without that part are left out."""
    horizon = tuned.prediction_length
    ends = [(number, part.stop) for number, part in enumerate(split.validation) if part.stop - part.start >= horizon]
    series = [panel.series[number].cut(None, stop) for number, stop in ends]
    drawn = replace(panel, series=tuple(each for each in series if len(each) > horizon))
    if len(drawn):
        tuned.plot(drawn, path, hold_back=horizon, title="Validation: the last forecast of each, beside what came")


def report_run(tuned: Forecaster, source: DataSource, output: str) -> None:
    """Print what trained on what, what competed, what came out, and how to go on."""
    trace = tuned.trace
    assert trace is not None, "it was fine-tuned"
    console = Console(highlight=False)
    if trace["data"].get("counts"):
        console.print(WindowCounts(**trace["data"]["counts"]).describe())
    print_candidates("Losses on validation (mean squared errors of scaled values)", trace)
    console.print(_trained(trace))
    picture = ("--output", "forecast.csv", "--plot", "forecast.png")
    print_next_commands(source, output, {"predict": picture, "evaluate": ()})


def _trained(trace: JsonObject) -> str:
    """Return how many parameters were trained, and what TRACE kept of them."""
    parameters, selection = trace["parameters"], trace["selection"]
    text = f"Trained parameters: {parameters['head']:,} in the head, {parameters['adapters']:,} in the adapters."
    if selection is None:
        return text
    return (
        f"{text} TRACE kept {len(selection['kept'])} of {len(selection['parameters'])} modules "
        f"({selection['kept_parameters']:,} of {parameters['adapters_before_selection']:,} parameters); "
        f"selection took {trace['seconds']['selection']:.1f} s, training {trace['seconds']['trace']:.1f} s. "
        f"{selection['evidence']}"
    )
