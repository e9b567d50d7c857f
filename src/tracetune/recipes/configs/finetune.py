"""Settings of `tracetune finetune` for forecasting; defaults are those of the library."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError
from tracetune.base.files import require_file
from tracetune.fitting.config import FitConfig
from tracetune.recipes.configs.adaptation import (
    FinetuneRun,
    HeadChoice,
    LoraChoice,
    MethodChoice,
    SelectionChoice,
    TrainingChoice,
)
from tracetune.recipes.configs.forecaster import resolution_of
from tracetune.recipes.data_source import DataSource


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

    model: str = "tracetune/tiny"
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
class FinetuneConfig:
    """Settings of a fine-tuning run.

    Attributes:
        validation_data: table with later steps or other items to choose by; without it the last part of each series.
    """

    source: DataSource
    validation_data: str | None = field(default=None, metadata={"group": "source"})
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    head: HeadChoice = field(default_factory=HeadChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    lora: LoraChoice = field(default_factory=LoraChoice)
    selection: SelectionChoice = field(default_factory=SelectionChoice)
    training: TrainingChoice = field(default_factory=TrainingChoice)
    windows: WindowChoice = field(default_factory=WindowChoice)
    run: FinetuneRun

    def __post_init__(self) -> None:
        if self.validation_data is None:
            return
        if self.source.dataset is not None:
            raise InputError("--validation-data goes with a table: a known data set has its own validation part.")
        require_file(self.validation_data)
