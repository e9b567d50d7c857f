"""What `tracetune importance` takes."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError


@dataclass(frozen=True)
class ImportanceConfig:
    """Which model's modules to score, on which validation data, and by which methods.

    Attributes:
        data: CSV, CSV.gz or Parquet file with the series; their last part is what scores are measured on.
        dataset: name of a known data set, instead of a file; scores are measured on its validation part.
        model: folder of a fine-tuned model, whose modules are scored as they are, or a foundation model, on which LoRA
            is trained first.
        output: new folder for scores.csv, importance.json, heatmap.png. It appears when they are done; until then
            Shapley values are kept beside it, with ".unfinished" added, from where the same command goes on.
        restart: discard what an interrupted run left.
        scores: methods to compare; without it all of them.
        shapley_pairs: pairs of permutations for the Shapley values, the yardstick; 0 leaves them out.
        keep: share of the other modules that is open when gated_dsic scores one in the context budget.
        context: which other modules are open when gated_dsic scores one: budget or shapley.
        samples: validation windows that scores are measured on, evenly spread.
        batch_size: windows per batch, in training and scoring.
        prediction_length: steps to forecast; a fine-tuned model knows its own, otherwise 96.
        context_length: steps of history the model sees; without it what the model was pretrained with.
        head: forecasting head of a foundation model: flatten, projection, convolution or pooling.
        beta: by how much a compact head reduces its input.
        head_tokens: which tokens the head reads: context, future, all, or auto; see finetune.
        r: rank of the LoRA modules that are trained.
        lora_alpha: LoRA's scale is lora_alpha / r.
        target_modules: glob patterns of the layers to adapt; without it all linear layers of the encoder.
        start: what LoRA is trained on from: head, zero-shot (no new head), or best of the two.
        head_epochs: passes over frozen features that train the head first.
        max_steps: optimiser steps that train LoRA on a foundation model.
        learning_rate: peak learning rate of the adapters.
        head_learning_rate: peak learning rate of the head when it trains with the adapters; without it 1e-5.
        train_stride: steps between the starts of training windows.
        seed: fixes the result.
        device: auto, cpu or cuda.
        id_column: name of the item column, if not item_id or unique_id.
        timestamp_column: name of the time column, if not timestamp, ds or date.
        target: name of the column to forecast, if not target or y.
        freq: pandas frequency of the series, if it cannot be inferred.
        sort: sort rows by time instead of refusing disorder.
    """

    data: str | None = field(default=None, metadata={"positional": True})
    dataset: str | None = None
    model: str = "tracetune/tiny"
    output: str | None = None
    restart: bool = False
    scores: tuple[str, ...] = ()
    shapley_pairs: int = 0
    keep: float = 0.5
    context: str = "budget"
    samples: int = 256
    batch_size: int = 64
    prediction_length: int | None = None
    context_length: int | None = None
    head: str = "projection"
    beta: int = 4
    head_tokens: str = "auto"
    r: int = 2
    lora_alpha: float = 4.0
    target_modules: tuple[str, ...] = ()
    start: str = "best"
    head_epochs: float = 10.0
    max_steps: int = 100
    learning_rate: float = 5e-4
    head_learning_rate: float | None = None
    train_stride: int = 1
    seed: int = 0
    device: str = "auto"
    id_column: str | None = None
    timestamp_column: str | None = None
    target: str | None = None
    freq: str | None = None
    sort: bool = False

    def __post_init__(self) -> None:
        if (self.data is None) == (self.dataset is None):
            found = "both" if self.data else "neither"
            raise InputError(f"Expected either a data file or --dataset NAME, found {found}.")
        if self.output is None:
            raise InputError("Expected --output FOLDER: where to write scores and pictures.")
        for name in ("samples", "batch_size", "max_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} of at least 1, found {getattr(self, name)}.")
        if self.shapley_pairs < 0:
            raise InputError(f"Expected shapley_pairs of at least 0, found {self.shapley_pairs}.")
