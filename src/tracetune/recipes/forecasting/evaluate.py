"""Backtest a model and naive forecasts on a table or a known data set; print and draw the errors."""

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel
from tracetune.data.splits import DividedPanel, split_panel
from tracetune.data.table_files import write_frame
from tracetune.estimators.forecasting.backtest_part import backtest_part
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.evaluation.backtest import Evaluation
from tracetune.recipes.forecasting.chosen_forecaster import load_chosen
from tracetune.recipes.forecasting.settings import EvaluateConfig
from tracetune.recipes.outputs import check_outputs
from tracetune.report.evaluation import print_evaluation, rows_to_draw
from tracetune.report.pages import write_plot


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Backtest a model on a table or a known data set, beside the naive forecasts."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.forecaster.model), overwrite=run.overwrite)
    forecaster = load_chosen(config.forecaster, run.device)
    series, season = _series(forecaster, config)
    if forecaster.chooses_resolution:  # once, so that what is drawn is what is measured
        part = backtest_part(series, forecaster.prediction_length, run.test_length, run.stride, season)
        forecaster = forecaster.choose_resolution(part.before(), season=season)
    found = forecaster.evaluate(
        series,
        test_length=run.test_length,
        stride=run.stride,
        season=season,
        batch_size=run.batch_size,
        recalibrate=run.recalibrate,
    )
    if run.output:
        write_frame(found.items, run.output)
    if run.plot:
        panel = series.panel.cut(None, series.split.test[0].stop) if isinstance(series, DividedPanel) else series
        _draw(forecaster, panel, found, config, run.plot)
    print_evaluation(found, run.output, run.plot, _advice(forecaster))
    return found


def _advice(forecaster: Forecaster) -> str:
    """Return what to do where a naive forecast is better than this model."""
    finer = "" if max(forecaster.resolutions) > 1 else " with --resolution auto"
    if forecaster.trace is not None:
        return f"Fine-tune{finer}, or use the naive forecast." if finer else "Use the naive forecast."
    tried = f"Try it{finer}, fine" if finer else "Fine"
    return f"{tried}-tune on these data, or use the naive forecast."


def _series(forecaster: Forecaster, config: EvaluateConfig) -> tuple[Panel | DividedPanel, int | None]:
    """Return the series of a table, or of a known data set with its standard parts, and the season if one is known."""
    run = config.run
    if config.source.dataset is None:
        return config.source.panel(forecaster.remembered), run.season
    known = config.source.known()
    if known.borders is None:
        raise InputError(f"Data set {known.info.name!r} has no standard test part of one series; evaluate its file.")
    return DividedPanel(known.panel, split_panel(known.panel, known.borders)), run.season or known.info.seasonality


def _draw(forecaster: Forecaster, panel: Panel, found: Evaluation, config: EvaluateConfig, path: str) -> None:
    """Draw the last forecast of the worst items and the median one, beside what came."""
    notes = rows_to_draw(found, panel)
    title = f"Backtest on {config.source.name}: the last forecast beside what came"
    figure = forecaster.plot(panel, rows=list(notes), hold_back=forecaster.prediction_length, notes=notes, title=title)
    write_plot(figure, path, title, {"All items": found.overall, "By item": found.items})
