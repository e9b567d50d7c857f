"""Settings of `tracetune pretrain`."""

from dataclasses import dataclass, field
from typing import Any

from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of `tracetune pretrain`.

    Attributes:
        output: folder for weights, configuration, log, learning curves and a picture of the corpus. An interrupted run
            goes on there; the model is there when config.json is, which is written last.
        restart: discard what another run, or this one, left in output.
        start: folder or name of a model to go on from, with its geometry; without it random weights.
        windows: synthetic windows seen; each is new.
        context_length: steps per window T.
        patch_length: steps per patch P.
        width: embedding width D.
        layers: transformer blocks.
        heads: attention heads per block.
        feed_forward: inner width of the gated feed-forward layers.
        masking: mapping of MaskingConfig's fields.
        huber_delta: where the loss turns from squared to linear, in standard deviations.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled weight decay.
        batch_size: windows per step and device.
        evaluations: how often to measure the validation loss and save a checkpoint.
        snapshots: numbers of windows after which the weights are kept in output/snapshots/NUMBER (config file only).
        seed: fixes weights, series and masks.
        bf16: bfloat16 autocast.
        compile: torch.compile the model; faster after a minute of compiling, needs a C++ compiler.
        device: "auto", "cpu", "cuda".
        num_workers: processes that generate series; 0 generates in the training process, as on CUDA always, where
            the GPU generates (the same distribution, other rows than on the CPU).
    """

    output: str
    restart: bool = False
    start: str | None = None
    windows: int = 1_000_000
    context_length: int = 512
    patch_length: int = 16
    width: int = 128
    layers: int = 6
    heads: int = 4
    feed_forward: int = 384
    masking: dict[str, Any] = field(default_factory=dict)
    huber_delta: float = 2.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 128
    evaluations: int = 50
    snapshots: tuple[int, ...] = ()
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    device: str = "auto"
    num_workers: int = 1

    def __post_init__(self) -> None:
        geometry = "context_length", "patch_length", "width", "layers", "heads", "feed_forward"
        require_at_least(self, 1, *geometry, "batch_size")
        require_place(self.output)
        if self.context_length % self.patch_length:
            raise InputError(
                f"Expected {argument('context_length')} to be a multiple of {argument('patch_length')} "
                f"{self.patch_length}, found {self.context_length}."
            )
        if self.width % self.heads:
            raise InputError(
                f"Expected {argument('width')} to be a multiple of {argument('heads')} {self.heads}, "
                f"found {self.width}."
            )
        if self.windows < self.batch_size:
            raise InputError(
                f"Expected {argument('windows')} of at least one batch ({self.batch_size}), found {self.windows}."
            )
        for count in self.snapshots:
            if not 1 <= count <= self.windows:
                raise InputError(
                    f"Expected {argument('snapshots')} between 1 and {self.windows} windows, found {count}."
                )
