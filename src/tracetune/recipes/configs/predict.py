"""Settings of `tracetune predict`."""

from dataclasses import dataclass, field

from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.recipes.configs.forecaster import ForecasterChoice
from tracetune.recipes.configs.quantiles import level_numbers
from tracetune.recipes.data_source import DataSource


@dataclass(frozen=True)
class PredictRun:
    """Options of the forecast, and the outputs.

    Attributes:
        output: file for the forecast: .csv, .csv.gz, .parquet or .json.
        plot: file for a picture of up to six forecasts: .png, .svg, .pdf, or .html with tables.
        quantiles: quantile levels to add, e.g. --quantiles 0.1,0.9.
        recalibrate: with quantiles, also forecast from this many earlier origins of each series, and make its intervals
            wider or narrower by how they held there; 0 leaves them as validation made them.
        batch_size: series and channels per forward pass.
        non_negative: clip forecasts and quantiles at 0; without it as the model was fine-tuned.
        chunk_rows: read the file in chunks of about this many rows, if it does not fit into memory; rows of an item
            must stand together. Output is CSV, CSV.gz or Parquet, the same as without.
        device: auto, cpu or cuda.
        overwrite: replace the output files if they exist.
    """

    output: str = "forecast.csv"
    plot: str | None = None
    quantiles: tuple[str, ...] = ()
    recalibrate: int = 8
    batch_size: int = 256
    non_negative: bool | None = None
    chunk_rows: int | None = None
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size", "chunk_rows")
        if self.plot is not None and self.chunk_rows is not None:
            raise InputError("--plot and --chunk-rows do not go together: a picture needs the whole table. Leave one.")
        require_at_least(self, 0, "recalibrate")
        self.quantile_levels()

    def quantile_levels(self) -> list[float]:
        """Return the levels as numbers; see `level_numbers`."""
        return level_numbers(self.quantiles)


@dataclass(frozen=True)
class PredictConfig:
    """Settings of `tracetune predict`."""

    source: DataSource
    forecaster: ForecasterChoice = field(default_factory=ForecasterChoice)
    run: PredictRun = field(default_factory=PredictRun)

    def __post_init__(self) -> None:
        if self.source.dataset is not None and self.run.chunk_rows is not None:
            raise InputError("--chunk-rows goes with a table: known data sets fit into memory. Leave it out.")
        if self.forecaster.resolution == ("auto",) and self.run.chunk_rows is not None:
            raise InputError("--resolution auto chooses by the whole table, --chunk-rows reads parts. Leave one.")
