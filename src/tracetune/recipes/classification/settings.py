"""Settings of the commands for classification; defaults are those of the library."""

from dataclasses import dataclass, field
from typing import Literal

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.errors import InputError
from tracetune.base.files import require_file
from tracetune.heads.classification_config import COMPETING_KERNELS, CONVOLUTIONS
from tracetune.recipes.data_source import TableSource
from tracetune.recipes.settings.classifiers import ClassifierChoice, ClassifyRun, EvaluateRun
from tracetune.recipes.settings.demo import DemoChoice
from tracetune.recipes.settings.finetune import FinetuneSettings, LoraChoice, MethodChoice, TrainingChoice
from tracetune.recipes.settings.scoring import LoraTraining, ScoredModel, ScoringChoice


@dataclass(frozen=True)
class LabelledSource(TableSource):
    """The series that a command reads.

    Attributes:
        data: labelled series: a .ts or .arff file of the UCR and UEA archives, or a table (text, Excel, Parquet,
            Feather, JSON) with a row a step and the label on every row, or with a series in each row.
        id_column: columns that tell series apart, in a table with a row a step; found by content without it.
        target: columns with the channels, and no others.
        layout: long (a row a step) or steps_in_header (a series in each row); found by content without it.
        label_column: column with the classes; without it that of the model's training, else label.
    """

    layout: Literal["long", "steps_in_header"] | None = None
    label_column: str | None = None
    dataset = None

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("Expected a file of labelled series, such as train.ts or train.csv, found none.")
        require_file(self.data)

    @property
    def path(self) -> str:
        """Return the file."""
        assert self.data is not None, "refused above"
        return self.data


@dataclass(frozen=True)
class BackboneChoice:
    """The foundation model to start from.

    Attributes:
        model: name of a foundation model (see `tracetune models`), hub id or folder.
        context_length: steps to which every series is resampled; without it what the model was pretrained with.
    """

    model: str = EMBEDDED_MODEL
    context_length: int | None = None


@dataclass(frozen=True)
class LabelsChoice:
    """The series that choose the model, and the weights of classes.

    Attributes:
        folds: parts of the series that are held out in turn to choose the model, before all of them train; without it
            4 where there are fewer than 200 series, and one part otherwise.
        validation_share: share of each class that is held out, where one part is.
        class_weights: balanced gives each class the same weight, however many series it has; without it each series
            counts the same.
    """

    folds: int | None = None
    validation_share: float = 0.25
    class_weights: Literal["balanced"] | None = None


@dataclass(frozen=True)
class ClassificationHeadChoice:
    """The layer from frozen features to classes.

    Attributes:
        head_solver: what solves it: ridge (regression on the classes) or svm (linear support vector machines).
        convolutions: features of the series itself that it reads besides those of the model's tokens: shares of steps
            at which short kernels are above a threshold (MiniRocket's); 0 for none.
        stretches: features of the series and of its differences: longest stretches above a threshold (MultiRocket's);
            0 for none.
        competing_kernels: kernels of each dilation of which the best and the worst at each step are counted (Hydra's);
            0 for none.
    """

    head_solver: Literal["ridge", "svm"] = "ridge"
    convolutions: int = CONVOLUTIONS
    stretches: int = CONVOLUTIONS
    competing_kernels: int = COMPETING_KERNELS


@dataclass(frozen=True)
class ClassifierTraining(TrainingChoice):
    """Training of head and adapters on few series: small batches.

    Attributes:
        learning_rate: peak learning rate of the adapters; without it 3e-3, and 5e-5 for the method full. auto tries
            three, each for a quarter of the steps, and trains at the one that is best on validation.
    """

    head_start: str = "kept"
    num_train_epochs: float = 3.0
    batch_size: int = 16
    evaluations: int = 2


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSettings):
    """Settings of a fine-tuning run."""

    source: LabelledSource
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    training: ClassifierTraining = field(default_factory=ClassifierTraining)
    labels: LabelsChoice = field(default_factory=LabelsChoice)
    head: ClassificationHeadChoice = field(default_factory=ClassificationHeadChoice)


@dataclass(frozen=True)
class ClassifyConfig:
    """Settings of `tracetune classify`."""

    source: LabelledSource
    classifier: ClassifierChoice
    run: ClassifyRun = field(default_factory=ClassifyRun)


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`."""

    source: LabelledSource
    classifier: ClassifierChoice
    run: EvaluateRun = field(default_factory=EvaluateRun)


@dataclass(frozen=True)
class ScoredClassifier(ScoredModel):
    """The model whose modules are scored.

    Attributes:
        context_length: steps to which every series is resampled; a fine-tuned model knows its own.
    """

    context_length: int | None = None


@dataclass(frozen=True)
class ClassifierLoraTraining(LoraTraining):
    """Training of LoRA on a foundation model.

    Attributes:
        learning_rate: peak learning rate of the adapters; without it 3e-3.
        validation_share: share of each class that scores are measured on, and LoRA is not trained on; a fine-tuned
            model is scored on all series.
    """

    validation_share: float = 0.25


@dataclass(frozen=True)
class ImportanceScoring(ScoringChoice):
    """The scores to compute, in small batches since series are few."""

    batch_size: int = 16


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Settings of `tracetune importance` for classifiers."""

    source: LabelledSource
    scored: ScoredClassifier = field(default_factory=ScoredClassifier)
    scoring: ImportanceScoring
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: ClassifierLoraTraining = field(default_factory=ClassifierLoraTraining)


@dataclass(frozen=True)
class DemoConfig(DemoChoice):
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for digits.csv, classes.csv, confusion.png and the adapter.
        method: linear_probe (seconds), or trace, lora, adalora, dora, full (many minutes on a CPU).
    """

    method: str = "linear_probe"
