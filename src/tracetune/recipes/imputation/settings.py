"""Settings of the commands for imputation; defaults are those of the library."""

from dataclasses import dataclass, field

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.settings.command_run import CommandRun
from tracetune.recipes.settings.demo import DemoChoice
from tracetune.recipes.settings.finetune import FinetuneSettings, LoraChoice, MethodChoice
from tracetune.recipes.settings.quantiles import level_numbers
from tracetune.recipes.settings.scoring import ScoredModel, ScoringChoice, SeriesLoraTraining


@dataclass(frozen=True)
class BackboneChoice:
    """The foundation model to start from.

    Attributes:
        model: name of a foundation model (see `tracetune models`), hub id or folder; it must rebuild hidden patches.
        context_length: steps of a window; without it what the model was pretrained with.
        season: steps of one season; without it the frequency's.
    """

    model: str = EMBEDDED_MODEL
    context_length: int | None = None
    season: int | None = None

    def __post_init__(self) -> None:
        require_at_least(self, 1, "context_length", "season")


@dataclass(frozen=True)
class RelatedChoice:
    """Other channels that gaps are filled from.

    Attributes:
        related: how many other channels each channel is also filled from, the most correlated ones; 0 for none.
    """

    related: int = 4

    def __post_init__(self) -> None:
        require_at_least(self, 0, "related")


@dataclass(frozen=True)
class PeriodsChoice:
    """Windows that choose the model.

    Attributes:
        validation: rolling holds back several periods at the end of each series, last one stretch.
    """

    validation: str = "rolling"


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSettings):
    """Settings of a fine-tuning run."""

    source: DataSource
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    gaps: RelatedChoice = field(default_factory=RelatedChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    periods: PeriodsChoice = field(default_factory=PeriodsChoice)


@dataclass(frozen=True)
class ImputerChoice:
    """The imputer that a command runs.

    Attributes:
        model: folder of a fine-tuned imputer, or name of a foundation model to fill gaps with as it is.
        base: where the foundation model of a fine-tuned one is now, if its folder was moved.
    """

    model: str = EMBEDDED_MODEL
    base: str | None = None


@dataclass(frozen=True)
class ImputeRun(CommandRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the filled table: .csv, .csv.gz, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of the up to six series with most gaps: .png, .svg, .pdf, or .html with tables.
        quantiles: quantile levels of what was filled in, e.g. --quantiles 0.1,0.9.
    """

    output: str = "filled.csv"
    quantiles: tuple[str, ...] = ()

    def quantile_levels(self) -> list[float]:
        """Return the levels as numbers; see `level_numbers`."""
        return level_numbers(self.quantiles)


@dataclass(frozen=True)
class ImputeConfig:
    """Settings of `tracetune impute`."""

    source: DataSource
    imputer: ImputerChoice = field(default_factory=ImputerChoice)
    run: ImputeRun = field(default_factory=ImputeRun)

    def __post_init__(self) -> None:
        self.run.quantile_levels()
        if self.source.data is None:
            raise InputError("Expected a table to fill, such as sales.csv: a known data set is not a table.")


@dataclass(frozen=True)
class EvaluateRun(CommandRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the errors: .csv, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of up to six series, hidden and filled: .png, .svg, .pdf, or .html with the errors.
    """


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`.

    Attributes:
        pattern: what is hidden: points, blocks, sub-sequences or channels.
        share: of the steps to hide.
        season: of the seasonal median; without it the frequency's.
        seed: fixes what is hidden.
    """

    source: DataSource
    imputer: ImputerChoice = field(default_factory=ImputerChoice)
    pattern: str = "points"
    share: float = 0.25
    season: int | None = None
    seed: int = 0
    run: EvaluateRun = field(default_factory=EvaluateRun)

    def __post_init__(self) -> None:
        require_at_least(self, 1, "season")
        if not 0 < self.share < 1:
            raise InputError(f"Expected --share between 0 and 1, found {self.share}.")


@dataclass(frozen=True)
class ScoredImputer(ScoredModel):
    """The model whose modules are scored.

    Attributes:
        context_length: steps of a window; a fine-tuned model knows its own.
        season: steps of one season; without it the frequency's, a fine-tuned model knows its own.
    """

    context_length: int | None = None
    season: int | None = None

    def __post_init__(self) -> None:
        require_at_least(self, 1, "context_length", "season")


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Settings of `tracetune importance` for imputers."""

    source: DataSource
    scored: ScoredImputer = field(default_factory=ScoredImputer)
    gaps: RelatedChoice = field(default_factory=RelatedChoice)
    scoring: ScoringChoice
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: SeriesLoraTraining = field(default_factory=SeriesLoraTraining)


@dataclass(frozen=True)
class DemoConfig(DemoChoice):
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for co2.csv, filled.csv, filled.png and the adapter.
    """
