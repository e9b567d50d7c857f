"""What `tracetune evaluate` takes."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError


@dataclass(frozen=True)
class EvaluateConfig:
    """Which model to backtest, and on what.

    Attributes:
        data: CSV, CSV.gz or Parquet file with series that include the steps to be forecast.
        dataset: name of a known data set, instead of a file; evaluated on its standard test part.
        model: folder of a fine-tuned model, or a foundation model's name.
        base: where the backbone of a fine-tuned model is now, if its folder was moved.
        output: file for the table: .csv, .parquet or .json.
        prediction_length: steps to forecast; a fine-tuned model knows its own.
        test_length: with a file, all targets lie in this many last steps; without it one horizon.
        stride: steps between forecast origins.
        season: period of the seasonal naive forecast; without it the frequency's.
        batch_size: windows per forward pass.
        device: auto, cpu or cuda.
        id_column: name of the item column, if not item_id or unique_id.
        timestamp_column: name of the time column, if not timestamp, ds or date.
        target: name of the column to forecast, if not target or y.
        freq: pandas frequency of the series, if it cannot be inferred.
        sort: sort rows by time instead of refusing disorder.
        overwrite: replace the output file if it exists.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    dataset: str | None = None
    model: str = "tracetune/tiny"
    base: str | None = None
    output: str | None = None
    prediction_length: int | None = None
    test_length: int | None = None
    stride: int = 1
    season: int | None = None
    batch_size: int = 256
    device: str = "auto"
    id_column: str | None = None
    timestamp_column: str | None = None
    target: str | None = None
    freq: str | None = None
    sort: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if (self.data is None) == (self.dataset is None):
            found = "both" if self.data else "neither"
            raise InputError(f"Expected either a data file or --dataset NAME, found {found}.")
