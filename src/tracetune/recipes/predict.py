"""Forecast a table of series with a saved or a base model."""

from dataclasses import dataclass, field

from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.data.frames import read_frame, require_table_path, write_frame
from tracetune.estimators.forecaster import Forecaster


@dataclass(frozen=True)
class PredictConfig:
    """What to forecast, with which model, and where to write.

    Attributes:
        data: CSV, CSV.gz or Parquet file with the history.
        model: folder of a fine-tuned model, or a foundation model's name for a zero-shot forecast.
        base: where the backbone of a fine-tuned model is now, if its folder was moved.
        output: file for the forecast: .csv, .csv.gz, .parquet or .json.
        prediction_length: steps to forecast; a fine-tuned model knows its own.
        quantiles: quantile levels to add, e.g. --quantiles 0.1 --quantiles 0.9.
        batch_size: series and channels per forward pass.
        device: auto, cpu or cuda.
        id_column: name of the item column, if not item_id or unique_id.
        timestamp_column: name of the time column, if not timestamp, ds or date.
        target: name of the column to forecast, if not target or y.
        freq: pandas frequency of the series, if it cannot be inferred.
        sort: sort rows by time instead of refusing disorder.
        overwrite: replace the output file if it exists.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    model: str = "tracetune/tiny"
    base: str | None = None
    output: str = "forecast.csv"
    prediction_length: int | None = None
    quantiles: tuple[str, ...] = ()
    batch_size: int = 256
    device: str = "auto"
    id_column: str | None = None
    timestamp_column: str | None = None
    target: str | None = None
    freq: str | None = None
    sort: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("Expected a data file: tracetune predict DATA --model FOLDER.")
        require_table_path(self.output, self.overwrite)

    def quantile_levels(self) -> list[float]:
        """The levels as numbers.

        Raises:
            InputError: one is not a number.
        """
        try:
            return [float(level) for level in self.quantiles]
        except ValueError as error:
            raise InputError(f"Expected quantiles such as 0.1 and 0.9, found {list(self.quantiles)}.") from error


def predict(config: PredictConfig) -> None:
    """Forecast the steps after the end of every series in a file."""
    levels = config.quantile_levels()
    assert config.data is not None
    frame = read_frame(config.data)
    forecaster = Forecaster.from_pretrained(
        config.model, config.prediction_length, base=config.base, device=config.device
    )
    forecast = forecaster.predict_df(
        frame,
        levels or None,
        batch_size=config.batch_size,
        id_column=config.id_column,
        timestamp_column=config.timestamp_column,
        target=config.target,
        freq=config.freq,
        sort=config.sort,
    )
    write_frame(forecast, config.output)
    Console().print(f"{len(forecast):,} rows written to {config.output}")
