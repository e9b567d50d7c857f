"""Settings of the commands for forecasting; defaults are those of the library."""

from dataclasses import dataclass, field

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_file
from tracetune.fitting.config import FitConfig
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.forecasting.forecaster_choice import ForecasterChoice, resolution_of
from tracetune.recipes.settings.command_run import CommandRun
from tracetune.recipes.settings.demo import DemoChoice
from tracetune.recipes.settings.finetune import (
    FinetuneSettings,
    HeadChoice,
    LoraChoice,
    MethodChoice,
)
from tracetune.recipes.settings.quantiles import level_numbers
from tracetune.recipes.settings.scoring import ScoredModel, ScoringChoice, SeriesLoraTraining


@dataclass(frozen=True)
class BackboneChoice:
    """The foundation model to start from.

    Attributes:
        model: name of a foundation model (see `tracetune models`), hub id or folder.
        prediction_length: steps to forecast.
        context_length: steps of history the model sees; without it what the model was pretrained with.
        non_negative: clip forecasts and quantiles at 0, e.g. of counts and sales.
        resolution: points a step at which the model reads short series: a number such as 4, several whose forecasts are
            averaged, e.g. 3,6,8, or auto (by a backtest on the training part); without it series as they are.
        adjust_trend: share of the trend, from 0 to 1, that is taken out before and put back after; 0.5 is half of it.
            Without it and --adjust-season, --resolution auto chooses both.
        adjust_season: steps of a season that is taken out before and put back after.
    """

    model: str = EMBEDDED_MODEL
    prediction_length: int = 96
    context_length: int | None = None
    non_negative: bool | None = None
    resolution: tuple[str, ...] = ()
    adjust_trend: float | None = None
    adjust_season: int | None = None

    def __post_init__(self) -> None:
        resolution_of(self.resolution)


@dataclass(frozen=True)
class WindowChoice:
    """Windows for training, and windows that choose the model.

    Attributes:
        validation: rolling holds back several periods at the end of each series, last one stretch.
        validation_windows: most windows that choose the model, drawn from all periods, items and times of day.
        train_stride: steps between the starts of training windows.
    """

    validation: str = FitConfig.validation
    validation_windows: int | None = FitConfig.validation_windows
    train_stride: int = FitConfig.train_stride


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSettings):
    """Settings of a fine-tuning run.

    Attributes:
        validation_data: table with later steps or other items to choose by; without it the last part of each series.
    """

    source: DataSource
    validation_data: str | None = field(default=None, metadata={"group": "source"})
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    head: HeadChoice = field(default_factory=HeadChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    windows: WindowChoice = field(default_factory=WindowChoice)

    def __post_init__(self) -> None:
        if self.validation_data is None:
            return
        if self.source.dataset is not None:
            raise InputError("--validation-data goes with a table: a known data set has its own validation part.")
        require_file(self.validation_data)


@dataclass(frozen=True)
class PredictRun(CommandRun):
    """Options of the forecast, and the outputs.

    Attributes:
        output: file for the forecast: .csv, .csv.gz, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of up to six forecasts: .png, .svg, .pdf, or .html with tables.
        quantiles: quantile levels to add, e.g. --quantiles 0.1,0.9.
        recalibrate: with quantiles, also forecast from this many earlier origins of each series, and make its intervals
            wider or narrower by how they held there; 0 leaves them as validation made them.
        batch_size: series and channels per forward pass.
        non_negative: clip forecasts and quantiles at 0; without it as the model was fine-tuned.
        chunk_rows: read the file in chunks of about this many rows, if it does not fit into memory; rows of an item
            must stand together. Output is CSV, CSV.gz or Parquet, the same as without.
    """

    output: str = "forecast.csv"
    quantiles: tuple[str, ...] = ()
    recalibrate: int = 8
    batch_size: int = 256
    non_negative: bool | None = None
    chunk_rows: int | None = None

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


@dataclass(frozen=True)
class EvaluateRun(CommandRun):
    """The part to backtest on, and the outputs.

    Attributes:
        output: file for the errors of every item, in its units: .csv, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of the worst items and the median one: .png, .svg, .pdf, or .html with tables.
        test_length: with a table, all targets lie in this many last steps; without it five forecast origins.
        stride: steps between forecast origins; without it about one horizon, and 1 for a known data set.
        season: period of the seasonal naive forecast; without it the frequency's.
        recalibrate: by how many earlier origins of each series its intervals are made wider or narrower; 0 for none.
        batch_size: windows per forward pass.
    """

    test_length: int | None = None
    stride: int | None = None
    season: int | None = None
    recalibrate: int = 8
    batch_size: int = 256

    def __post_init__(self) -> None:
        require_at_least(self, 1, "stride", "batch_size")
        require_at_least(self, 0, "recalibrate")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`."""

    source: DataSource
    forecaster: ForecasterChoice = field(default_factory=ForecasterChoice)
    run: EvaluateRun = field(default_factory=EvaluateRun)


@dataclass(frozen=True)
class ScoredWindows:
    """The windows that scores are measured on.

    Attributes:
        prediction_length: steps to forecast; without it that of a fine-tuned model, otherwise 96.
        context_length: steps of history the model sees; without it what the model was pretrained with.
        train_stride: steps between the starts of training windows.
    """

    prediction_length: int | None = None
    context_length: int | None = None
    train_stride: int = FitConfig.train_stride


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Settings of `tracetune importance` for forecasters."""

    source: DataSource
    scored: ScoredModel = field(default_factory=ScoredModel)
    windows: ScoredWindows = field(default_factory=ScoredWindows)
    scoring: ScoringChoice
    head: HeadChoice = field(default_factory=HeadChoice)
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: SeriesLoraTraining = field(default_factory=SeriesLoraTraining)


@dataclass(frozen=True)
class DemoConfig(DemoChoice):
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for co2.csv, forecast.csv, forecast.png and the adapter.
        prediction_length: weeks to forecast.
    """

    prediction_length: int = 52

    def __post_init__(self) -> None:
        if not 1 <= self.prediction_length <= 260:
            raise InputError(
                f"Expected {argument('prediction_length')} of 1 to 260 weeks, found {self.prediction_length}."
            )
