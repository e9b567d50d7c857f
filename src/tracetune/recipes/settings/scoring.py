"""Settings of `tracetune importance` that tasks share: scores, the model, and how LoRA is trained first."""

from dataclasses import dataclass

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.fitting.config import HEAD_EPOCHS, FitConfig
from tracetune.selection.config import SelectionConfig
from tracetune.training.config import TrainingConfig


@dataclass(frozen=True)
class ScoringChoice:
    """The scores to compute, the samples they are measured on, and the files they are written to.

    Attributes:
        output: new folder for scores.csv, importance.json, heatmap.png. It appears when they are done; until then
            Shapley values are kept beside it, with ".unfinished" added, from where the same command goes on.
        restart: discard what an interrupted run left.
        scores: methods to compare; without it all of them.
        shapley_pairs: pairs of permutations for the Shapley values, the yardstick; 0 leaves them out.
        keep: share of the other modules that is open when gated_dsic scores one in the context budget.
        context: which other modules are open when gated_dsic scores one: budget or shapley.
        samples: validation samples (windows, series, texts) that scores are measured on, evenly spread.
        batch_size: samples per batch in scoring, and where LoRA is trained on series in training too.
        seed: fixes the result.
        device: auto, cpu or cuda.
    """

    output: str | None = None
    restart: bool = False
    scores: tuple[str, ...] = ()
    shapley_pairs: int = 0
    keep: float = 0.5
    context: str = SelectionConfig.context
    samples: int = 256
    batch_size: int = TrainingConfig.batch_size
    seed: int = TrainingConfig.seed
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.output is None:
            raise InputError("Expected --output FOLDER: where to write scores and pictures.")
        require_at_least(self, 1, "samples", "batch_size")
        require_at_least(self, 0, "shapley_pairs")

    @property
    def folder(self) -> str:
        """Return the folder for scores and pictures."""
        assert self.output is not None, "refused above"
        return self.output


@dataclass(frozen=True)
class ScoredModel:
    """The model whose modules are scored.

    Attributes:
        model: folder of a fine-tuned model, whose modules are scored as they are, or a foundation model, on which LoRA
            is trained first.
    """

    model: str = EMBEDDED_MODEL


@dataclass(frozen=True)
class LoraTraining:
    """Training of LoRA on a foundation model.

    Attributes:
        max_steps: optimizer steps that train LoRA on a foundation model.
        learning_rate: peak learning rate of the adapters; without it 5e-4.
        head_learning_rate: peak learning rate of the head when trained with the adapters; without it 1e-5.
    """

    max_steps: int = 100
    learning_rate: float | None = None
    head_learning_rate: float | None = TrainingConfig.head_learning_rate

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_steps")


@dataclass(frozen=True)
class SeriesLoraTraining(LoraTraining):
    """Training of LoRA on a foundation model of series, which may start without a head.

    Attributes:
        start: the model that LoRA starts from: head, zero-shot (no new head), or best of the two.
        head_epochs: passes over frozen features that train the head first.
    """

    start: str = FitConfig.start
    head_epochs: float = HEAD_EPOCHS
