"""What commands take for classification; defaults are those of the library."""

from dataclasses import dataclass, field

from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.recipes.configs.adaptation import FinetuneRun, LoraChoice, MethodChoice, SelectionChoice, TrainingChoice
from tracetune.recipes.data_source import require_file


@dataclass(frozen=True)
class LabelledSource:
    """The series that a command reads.

    Attributes:
        data: file in the format of the UCR and UEA archives (.ts): labelled series, a line each.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    dataset = None

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("Expected a file of labelled series, such as train.ts, found none.")
        require_file(self.data)


@dataclass(frozen=True)
class BackboneChoice:
    """The foundation model to start from.

    Attributes:
        model: name of a foundation model (see `tracetune models`), hub id or folder.
        context_length: steps to which every series is resampled; without it what the model was pretrained with.
    """

    model: str = "tracetune/tiny"
    context_length: int | None = None


@dataclass(frozen=True)
class LabelsChoice:
    """Which series choose the model.

    Attributes:
        validation_share: share of each class that chooses the model and does not train.
    """

    validation_share: float = 0.25


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """What to fine-tune, on what, and how."""

    source: LabelledSource
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    method: MethodChoice = field(default_factory=MethodChoice)
    lora: LoraChoice = field(default_factory=LoraChoice)
    selection: SelectionChoice = field(default_factory=SelectionChoice)
    training: TrainingChoice = field(default_factory=TrainingChoice)
    labels: LabelsChoice = field(default_factory=LabelsChoice)
    run: FinetuneRun


@dataclass(frozen=True)
class ClassifierChoice:
    """Which classifier a command runs.

    Attributes:
        model: folder of a fine-tuned model.
        base: where the foundation model of a fine-tuned one is now, if its folder was moved.
    """

    model: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        if self.model is None:
            raise InputError("Expected --model FOLDER: a classifier that `tracetune finetune` saved.")


@dataclass(frozen=True)
class ClassifyRun:
    """Where to write, and on which machine.

    Attributes:
        output: file for the classes and their probabilities: .csv, .csv.gz, .parquet or .json.
        batch_size: series per forward pass.
        device: auto, cpu or cuda.
        overwrite: replace the output file if it exists.
    """

    output: str = "classes.csv"
    batch_size: int = 256
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size")


@dataclass(frozen=True)
class ClassifyConfig:
    """What to classify, with which model, and where to write."""

    source: LabelledSource
    classifier: ClassifierChoice
    run: ClassifyRun = field(default_factory=ClassifyRun)


@dataclass(frozen=True)
class EvaluateConfig:
    """Which model to measure, and on what.

    Attributes:
        batch_size: series per forward pass.
        device: auto, cpu or cuda.
    """

    source: LabelledSource
    classifier: ClassifierChoice
    batch_size: int = 256
    device: str = "auto"

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size")
