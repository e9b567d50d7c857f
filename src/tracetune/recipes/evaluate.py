"""Backtest a model on a table or a known data set, beside the naive forecasts."""

import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.datasets import load_dataset
from tracetune.data.splits import split_panel
from tracetune.data.table_files import read_frame, require_table_path, write_frame
from tracetune.estimators.forecaster import Forecaster
from tracetune.recipes.configs.evaluate import EvaluateConfig
from tracetune.report.tables import print_table


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Backtest a model on a file or a known data set, beside the naive forecasts."""
    if config.output:
        require_table_path(config.output, config.overwrite)
    forecaster = Forecaster.from_pretrained(
        config.model, config.prediction_length, base=config.base, device=config.device
    )
    table = _evaluate_dataset(forecaster, config) if config.dataset else _evaluate_file(forecaster, config)
    print_table("Errors on scaled values", table.to_dict("records"))  # type: ignore[arg-type]
    if config.output:
        write_frame(table, config.output)
    return table


def _evaluate_dataset(forecaster: Forecaster, config: EvaluateConfig) -> pd.DataFrame:
    assert config.dataset is not None
    known = load_dataset(config.dataset)
    if known.borders is None:
        raise InputError(f"Data set {config.dataset!r} has no standard test part of one series; evaluate its file.")
    split = split_panel(known.panel, known.borders)
    return forecaster.evaluate_panel(
        known.panel,
        split.test,
        split.train,
        stride=config.stride,
        season=config.season or known.info.seasonality,
        batch_size=config.batch_size,
    )


def _evaluate_file(forecaster: Forecaster, config: EvaluateConfig) -> pd.DataFrame:
    assert config.data is not None
    return forecaster.evaluate(
        read_frame(config.data),
        test_length=config.test_length,
        stride=config.stride,
        season=config.season,
        batch_size=config.batch_size,
        id_column=config.id_column,
        timestamp_column=config.timestamp_column,
        target=config.target,
        freq=config.freq,
        sort=config.sort,
    )
