"""Backtest a model and naive forecasts on a table or a known data set; print and draw the errors."""

from pathlib import Path

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel
from tracetune.data.splits import DividedPanel, split_panel
from tracetune.data.table_files import write_frame
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.evaluation.backtest import Evaluation
from tracetune.recipes.chosen_forecaster import load_chosen
from tracetune.recipes.configs.evaluate import EvaluateConfig
from tracetune.recipes.outputs import check_outputs
from tracetune.report.evaluation import print_evaluation, rows_to_draw
from tracetune.report.pages import write_plot


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Backtest a model on a table or a known data set, beside the naive forecasts."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.forecaster.model), overwrite=run.overwrite)
    forecaster = load_chosen(config.forecaster, run.device)
    if config.source.dataset is not None:
        panel, found = _evaluate_dataset(forecaster, config)
    else:
        panel = config.source.panel(forecaster.remembered)
        found = forecaster.evaluate(
            panel,
            test_length=run.test_length,
            stride=run.stride,
            season=run.season,
            batch_size=run.batch_size,
            recalibrate=run.recalibrate,
        )
    if run.output:
        write_frame(found.items, run.output)
    if run.plot:
        _draw(forecaster, panel, found, config, run.plot)
    print_evaluation(found, run.output, run.plot)
    return found


def _evaluate_dataset(forecaster: Forecaster, config: EvaluateConfig) -> tuple[Panel, Evaluation]:
    """Backtest on the standard test part; return the series up to its end, too."""
    known, run = config.source.known(), config.run
    if known.borders is None:
        raise InputError(f"Data set {known.info.name!r} has no standard test part of one series; evaluate its file.")
    split = split_panel(known.panel, known.borders)
    season = run.season or known.info.seasonality
    found = forecaster.evaluate(
        DividedPanel(known.panel, split),
        stride=run.stride,
        season=season,
        batch_size=run.batch_size,
        recalibrate=run.recalibrate,
    )
    return known.panel.cut(None, known.borders.test_end), found


def _draw(forecaster: Forecaster, panel: Panel, found: Evaluation, config: EvaluateConfig, path: str) -> None:
    """Draw the last forecast of the worst items and the median one, beside what came."""
    notes = rows_to_draw(found, panel)
    name = config.source.dataset or Path(str(config.source.data)).name
    title = f"Backtest on {name}: the last forecast beside what came"
    figure = forecaster.plot(panel, rows=list(notes), hold_back=forecaster.prediction_length, notes=notes, title=title)
    write_plot(figure, path, title, {"All items": found.overall, "By item": found.items})
