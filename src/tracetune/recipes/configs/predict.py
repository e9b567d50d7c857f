"""What `tracetune predict` takes."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError


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
        chunk_rows: read the file in pieces of about this many rows, if it does not fit into memory; rows of an item
            must stand together. Output is CSV, CSV.gz or Parquet, the same as without.
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
    chunk_rows: int | None = None
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
        if self.chunk_rows is not None and self.chunk_rows < 1:
            raise InputError(f"Expected chunk_rows of at least 1, found {self.chunk_rows}.")

    def quantile_levels(self) -> list[float]:
        """The levels as numbers.

        Raises:
            InputError: one is not a number.
        """
        try:
            return [float(level) for level in self.quantiles]
        except ValueError as error:
            raise InputError(f"Expected quantiles such as 0.1 and 0.9, found {list(self.quantiles)}.") from error
