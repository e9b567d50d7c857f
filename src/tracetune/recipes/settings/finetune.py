"""Settings of fine-tuning that all tasks share; defaults are those of the library."""

from dataclasses import dataclass, field
from typing import Literal

from tracetune.adapters.options import LoraOptions
from tracetune.base.errors import InputError
from tracetune.fitting.config import HEAD_EPOCHS, FitConfig
from tracetune.heads.config import FORECASTING_HEAD, HeadConfig
from tracetune.selection.config import SelectionConfig
from tracetune.training.config import TrainingConfig


@dataclass(frozen=True)
class HeadChoice:
    """The forecasting head.

    Attributes:
        head: forecasting head: flatten, projection, convolution or pooling.
        beta: by how much a compact head (all but flatten) reduces its input.
        head_tokens: which tokens the head reads: context, future (hidden patches in place of the horizon; the head
            starts as the zero-shot forecast), all, or auto (future where the backbone has them).
    """

    head: str = FORECASTING_HEAD["kind"]
    beta: int = FORECASTING_HEAD["beta"]
    head_tokens: str = FORECASTING_HEAD["tokens"]

    def config(self) -> HeadConfig:
        """Return the configuration of the head."""
        return HeadConfig(self.head, 1 if self.head == "flatten" else self.beta, tokens=self.head_tokens)


@dataclass(frozen=True)
class LoraChoice:
    """The LoRA modules.

    Attributes:
        r: rank of the LoRA modules.
        lora_alpha: LoRA's scale is lora_alpha / r.
        target_modules: glob patterns of the layers to adapt, e.g. *.q,*.v; without it all linear layers of the encoder.
    """

    r: int = LoraOptions.r
    lora_alpha: float = LoraOptions.lora_alpha
    target_modules: tuple[str, ...] = ()

    def options(self) -> LoraOptions:
        """Return them as the library takes them."""
        return LoraOptions(self.r, self.lora_alpha, target_modules=self.target_modules or None)


@dataclass(frozen=True)
class ComparedMethod:
    """The method, and the models it is compared with.

    Attributes:
        method: trace, lora, adalora, dora, linear_probe or full.
        shrink: move the trained model back towards its start, as far as validation says: together (by one factor),
            modules (by one for each LoRA module first) or none.
        guard_margin: by how many standard errors a model must beat a simpler one on validation to come out instead.
    """

    method: str = "trace"
    shrink: str = FitConfig.shrink
    guard_margin: float = FitConfig.guard_margin


@dataclass(frozen=True)
class MethodChoice(ComparedMethod):
    """The method, the models it is compared with, and the one that it starts from.

    Attributes:
        start: the model that the method starts from: head, zero-shot (no new head), or best of the two.
    """

    start: str = FitConfig.start


@dataclass(frozen=True)
class SelectionChoice:
    """Selection of LoRA modules by the method trace.

    Attributes:
        keep: LoRA modules to keep: a share such as 0.5, a number such as 12, or auto.
        budget_unit: what keep counts: modules, their parameters, or time (a share of a training step's, measured).
        score: importance score to follow, e.g. gated_dsic, leave_one_out, adalora, random.
        context: which other modules are open when gated_dsic scores one: budget or shapley.
        warmup_steps: steps with all modules open: a share of the run such as 0.1, or a number.
        final_step: from here on the choice is final: a share of the run, or a number.
        interval: steps between two rounds of scoring: a share of the run, or a number.
        cost_share: what selection may cost, as a share of training; rounds and batches are fewer where needed,
            but never so few that the choice would be random.
        ema: weight of the past in the smoothed scores.
    """

    keep: float | int | str = SelectionConfig.keep
    budget_unit: Literal["modules", "parameters", "time"] = SelectionConfig.budget_unit
    score: str = SelectionConfig.score
    context: str = SelectionConfig.context
    warmup_steps: float | int = SelectionConfig.warmup_steps
    final_step: float | int = SelectionConfig.final_step
    interval: float | int = SelectionConfig.interval
    cost_share: float = SelectionConfig.cost_share
    ema: float = SelectionConfig.ema


@dataclass(frozen=True)
class TrainingChoice:
    """Training of head and adapters.

    Attributes:
        learning_rate: peak learning rate of the adapters; without it 5e-4, and 1.6e-4 for the method full. auto
            tries three, each for a quarter of the steps, and trains at the one that is best on validation.
        head_learning_rate: peak learning rate of the head when trained with the adapters; without it 1e-5.
        head_start: what training of the head starts from: solved (closed form), gradient (initial weights), or kept
            (closed form, and not trained any further).
        head_epochs: passes over frozen features that train the head first.
        num_train_epochs: passes over the data with adapters and head.
        max_steps: stop after this many optimizer steps, whatever the epochs; -1: no such limit.
        epoch_windows: samples that count as one epoch, a fresh random part each time: a number, all, or auto (at most
            20,000 windows of series to forecast, else all).
        batch_size: samples (windows, series, texts) per optimizer step.
        evaluations: validation rounds, spread evenly over a training, of which the best model is kept.
    """

    learning_rate: float | int | str | None = TrainingConfig.learning_rate
    head_learning_rate: float | None = TrainingConfig.head_learning_rate
    head_start: str = FitConfig.head_start
    head_epochs: float = HEAD_EPOCHS
    num_train_epochs: float = TrainingConfig.num_train_epochs
    max_steps: int = TrainingConfig.max_steps
    epoch_windows: int | Literal["auto", "all"] = TrainingConfig.epoch_windows
    batch_size: int = TrainingConfig.batch_size
    evaluations: int = TrainingConfig.evaluations


@dataclass(frozen=True)
class FinetuneRun:
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: new folder for the fine-tuned model, its card, its record and pictures.
        checkpoints: folder for checkpoints; the same command goes on from there after an interruption, one that would
            give another result is refused.
        restart: discard what is in the folder for checkpoints, whichever run it is of.
        seed: fixes the result.
        device: auto, cpu or cuda.
        bf16: bfloat16 autocast while adapters train: true, false, or auto (where the hardware computes in bfloat16).
        max_tokens: most tokens (samples x patches) in one forward pass; larger batches are trained in parts, with the
            gradient of the whole batch.
        cache_bytes: room for outputs of frozen layers, in memory first, then in files; without it a third of the
            free memory, 0 for none.
        cache_dtype: precision of cached states of frozen blocks: float32 or bfloat16; without it that of training.
    """

    output: str | None = None
    checkpoints: str | None = None
    restart: bool = FitConfig.restart
    seed: int = TrainingConfig.seed
    device: str = "auto"
    bf16: bool | Literal["auto"] = TrainingConfig.bf16
    max_tokens: int | None = TrainingConfig.max_tokens
    cache_bytes: int | None = FitConfig.cache_bytes
    cache_dtype: str | None = FitConfig.cache_dtype

    def __post_init__(self) -> None:
        if self.output is None:
            raise InputError("Expected --output FOLDER: where to save the fine-tuned model.")

    @property
    def folder(self) -> str:
        """Return the folder for the model."""
        assert self.output is not None, "refused above"
        return self.output


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """Settings that every fine-tuning command has; those of a task add where the data and the model come from."""

    method: ComparedMethod
    lora: LoraChoice = field(default_factory=LoraChoice)
    selection: SelectionChoice = field(default_factory=SelectionChoice)
    training: TrainingChoice = field(default_factory=TrainingChoice)
    run: FinetuneRun
