"""Settings of `tracetune importance` of forecasting."""

from dataclasses import dataclass, field

from tracetune.fitting.config import FitConfig
from tracetune.recipes.configs.adaptation import HeadChoice, LoraChoice
from tracetune.recipes.configs.scoring import LoraTraining, ScoredModel, ScoringChoice
from tracetune.recipes.data_source import DataSource


@dataclass(frozen=True)
class WindowsChoice:
    """Lengths of the windows that scores are measured on.

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
    windows: WindowsChoice = field(default_factory=WindowsChoice)
    scoring: ScoringChoice
    head: HeadChoice = field(default_factory=HeadChoice)
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: LoraTraining = field(default_factory=LoraTraining)
