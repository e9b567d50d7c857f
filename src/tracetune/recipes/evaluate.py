"""Backtest a model on a table or a known data set, beside the naive forecasts."""

from typing import Any

from tracetune.base.errors import InputError
from tracetune.data.splits import split_panel
from tracetune.data.table_files import require_table_path, write_frame
from tracetune.estimators.forecaster import Forecaster
from tracetune.evaluation.backtest import Evaluation
from tracetune.recipes.configs.evaluate import EvaluateConfig
from tracetune.report.forecast_plots import require_picture_path
from tracetune.report.tables import print_table


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Backtest a model on a table or a known data set, beside the naive forecasts."""
    run = config.run
    if run.output:
        require_table_path(run.output, run.overwrite)
    if run.plot:
        require_picture_path(run.plot, run.overwrite)
    forecaster = config.forecaster.load(run.device)
    known = config.source.dataset is not None
    found = _evaluate_dataset(forecaster, config) if known else _evaluate_table(forecaster, config)
    print_table("Errors (mse, mae: in deviations of each series)", found.overall.to_dict("records"))  # type: ignore[arg-type]
    if run.output:
        write_frame(found.overall, run.output)
    return found


def _evaluate_dataset(forecaster: Forecaster, config: EvaluateConfig) -> Evaluation:
    known, run = config.source.known(), config.run
    if known.borders is None:
        raise InputError(f"Data set {known.info.name!r} has no standard test part of one series; evaluate its file.")
    split = split_panel(known.panel, known.borders)
    season = run.season or known.info.seasonality
    return forecaster.evaluate_panel(
        known.panel, split.test, split.train, stride=run.stride or 1, season=season, batch_size=run.batch_size
    )


def _evaluate_table(forecaster: Forecaster, config: EvaluateConfig) -> Evaluation:
    run = config.run
    how: dict[str, Any] = {
        "test_length": run.test_length,
        "stride": run.stride,
        "season": run.season,
        "batch_size": run.batch_size,
    }
    return forecaster.evaluate(config.source.frame(), **how, **config.source.columns())
