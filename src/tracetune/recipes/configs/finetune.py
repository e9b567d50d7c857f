"""What `tracetune finetune` takes."""

from dataclasses import dataclass, field
from typing import Literal

from tracetune.base.errors import InputError
from tracetune.recipes.data_source import DataSource


@dataclass(frozen=True)
class FinetuneConfig:
    """What to fine-tune, on what, and how.

    Attributes:
        validation_data: file with later steps or other items to choose by; without it the last part of each series.
        output: new folder for the adapter, its card and its record.
        model: name of a foundation model (see `tracetune models`), hub id or folder.
        prediction_length: steps to forecast.
        context_length: steps of history the model sees; without it what the model was pretrained with.
        method: trace, lora, adalora, dora, linear_probe or full.
        head: forecasting head: flatten, projection, convolution or pooling.
        beta: by how much a compact head reduces its input.
        head_tokens: which tokens the head reads: context, future (hidden patches in place of the horizon; the head
            starts as the zero-shot forecast), all, or auto (future where the backbone has them).
        r: rank of the LoRA modules.
        lora_alpha: LoRA's scale is lora_alpha / r.
        target_modules: glob patterns of the layers to adapt; without it all linear layers of the encoder.
        keep: LoRA modules that trace keeps: a share such as 0.5, a number such as 12, or auto.
        budget_unit: what keep counts: modules, their parameters, or time (a share of a training step's, measured).
        score: importance score that trace follows, e.g. gated_dsic, leave_one_out, adalora, random.
        context: which other modules are open when gated_dsic scores one: budget or shapley.
        warmup_steps: steps with all modules open: a share of the run such as 0.1, or a number.
        final_step: from here on the choice is final: a share of the run, or a number.
        interval: steps between two rounds of scoring: a share of the run, or a number.
        cost_share: the most that selection may cost, as a share of training; rounds and batches are fewer where needed.
        ema: weight of the past in the smoothed scores.
        learning_rate: peak learning rate of the adapters.
        head_learning_rate: peak learning rate of the head when it trains with the adapters; without it 1e-5.
        start: what the method trains on from: head, zero-shot (no new head), or best of the two.
        head_start: what the head trains on from: solved (in closed form) or gradient (its first weights).
        head_epochs: passes over frozen features that train the head first.
        num_train_epochs: passes over the data with adapters and head.
        max_steps: stop after this many optimiser steps, whatever the epochs.
        epoch_windows: windows that count as one epoch, a fresh random part each time; without it all windows.
        batch_size: windows per optimiser step.
        max_tokens: most tokens (windows x patches) in one forward pass; larger batches are trained in parts, with the
            gradient of the whole batch.
        train_stride: steps between the starts of training windows.
        validation: rolling holds back several periods at the end of each series, last one stretch.
        validation_windows: most windows that choose the model, drawn from all periods, items and times of day.
        shrink: move what was trained back towards its start, as far as validation says.
        guard_margin: by how many standard errors a model must be better than a simpler one to come out instead.
        cache_bytes: room for outputs of frozen layers, in memory first, then in files; without it a third of the
            free memory, 0 for none.
        cache_dtype: precision of cached states of frozen blocks: float32 or bfloat16; without it that of training.
        non_negative: clip forecasts and quantiles at 0, e.g. of counts and sales.
        seed: fixes the result.
        bf16: bfloat16 autocast while adapters train: true, false, or auto (where the hardware computes in bfloat16).
        device: auto, cpu or cuda.
        checkpoints: folder for checkpoints; the same command goes on from there after an interruption, one that would
            give another result is refused.
        restart: discard what is in the folder for checkpoints, whichever run it is of.
    """

    source: DataSource
    validation_data: str | None = field(default=None, metadata={"group": "source"})
    output: str | None = None
    model: str = "tracetune/tiny"
    prediction_length: int = 96
    context_length: int | None = None
    method: str = "trace"
    head: str = "projection"
    beta: int = 4
    head_tokens: str = "auto"
    r: int = 2
    lora_alpha: float = 4.0
    target_modules: tuple[str, ...] = ()
    keep: float | int | str = 0.5
    budget_unit: Literal["modules", "parameters", "time"] = "modules"
    score: str = "gated_dsic"
    context: str = "budget"
    warmup_steps: float | int = 0.1
    final_step: float | int = 0.6
    interval: float | int = 0.05
    cost_share: float = 0.05
    ema: float = 0.5
    learning_rate: float = 5e-4
    head_learning_rate: float | None = None
    start: str = "best"
    head_start: str = "solved"
    head_epochs: float = 10.0
    num_train_epochs: float = 5.0
    max_steps: int = -1
    epoch_windows: int | None = None
    batch_size: int = 64
    max_tokens: int | None = None
    train_stride: int = 1
    validation: str = "rolling"
    validation_windows: int = 2048
    shrink: bool = True
    guard_margin: float = 1.0
    cache_bytes: int | None = None
    cache_dtype: str | None = None
    non_negative: bool | None = None
    seed: int = 0
    bf16: bool | Literal["auto"] = False
    device: str = "auto"
    checkpoints: str | None = None
    restart: bool = False

    def __post_init__(self) -> None:
        if self.source.dataset is not None and self.validation_data is not None:
            raise InputError("--validation-data goes with a data file: a known data set has its own validation part.")
        if self.output is None:
            raise InputError("Expected --output FOLDER: where to save the fine-tuned model.")
