"""Settings that the commands for series and for texts share where they name classes."""

from dataclasses import dataclass

from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.recipes.settings.command_run import CommandRun


@dataclass(frozen=True)
class ClassifierChoice:
    """The classifier that a command runs.

    Attributes:
        model: folder of a fine-tuned model.
        base: where the foundation model or encoder of a fine-tuned one is now, if its folder was moved.
    """

    model: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        if self.model is None:
            raise InputError("Expected --model FOLDER: a classifier that `tracetune finetune` saved.")

    @property
    def folder(self) -> str:
        """Return the folder of the model."""
        assert self.model is not None, "refused above"
        return self.model


@dataclass(frozen=True)
class BatchedRun(CommandRun):
    """Outputs of a command that classifies, and the device that it runs on.

    Attributes:
        batch_size: series or texts per forward pass.
    """

    batch_size: int = 256

    def __post_init__(self) -> None:
        require_at_least(self, 1, "batch_size")


@dataclass(frozen=True)
class ClassifyRun(BatchedRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for classes and their probabilities: .csv, .csv.gz, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of the up to six series or texts it is least sure of, with what speaks for their class:
            .png, .svg, .pdf, or .html with a table.
    """

    output: str = "classes.csv"


@dataclass(frozen=True)
class EvaluateRun(BatchedRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the scores: .csv, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: picture of the confusion matrix: .png, .svg, .pdf, or .html with tables.
    """
