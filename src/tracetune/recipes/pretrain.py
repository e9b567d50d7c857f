"""Pretrain a MOMENT-type backbone on synthetic series by masked reconstruction."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset
from transformers import TrainerCallback

from tracetune.backbones.backbone import load_backbone
from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError
from tracetune.base.files import write_json
from tracetune.base.seeds import seed_everything
from tracetune.data.synthetic.corpus import SyntheticCorpus
from tracetune.report.plots import plot_training
from tracetune.tasks.reconstruction import MaskedReconstruction, MaskingConfig
from tracetune.training.trainer import TrainingConfig, build_trainer, last_checkpoint

_VALIDATION_WINDOWS = 2048
_BLOCK = 4096  # windows generated at once


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, on how much, and where to put it.

    Attributes:
        output: folder for weights, configuration, log and learning curves.
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
        seed: fixes weights, series and masks.
        bf16: bfloat16 autocast.
        compile: torch.compile the model; faster after a minute of compiling, needs a C++ compiler.
        device: "auto", "cpu", "cuda".
        num_workers: processes that generate series; 0 generates in the training process.
    """

    output: str
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
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    device: str = "auto"
    num_workers: int = 1

    def __post_init__(self) -> None:
        if self.context_length % self.patch_length:
            raise InputError(
                f"Expected a context_length that is a multiple of patch_length {self.patch_length}, "
                f"found {self.context_length}."
            )
        if self.width % self.heads:
            raise InputError(f"Expected a width that is a multiple of heads ({self.heads}), found {self.width}.")
        if self.windows < self.batch_size:
            raise InputError(f"Expected windows of at least one batch ({self.batch_size}), found {self.windows}.")


class SyntheticWindows(Dataset):
    """The first ``windows`` series of a synthetic corpus, [1, T] each, as a data set."""

    def __init__(self, windows: int, corpus: SyntheticCorpus) -> None:
        self.windows, self.corpus = windows, corpus

    def __len__(self) -> int:
        return self.windows

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Rows ``indices`` as one batch ``{"values": [B, 1, T]}``."""
        return {"values": self.corpus.rows(indices).unsqueeze(1)}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Row ``index`` as ``{"values": [1, T]}``."""
        return {"values": self.corpus.rows([index])}


class LogFile(TrainerCallback):
    """Writes the Trainer's log as JSON after every entry, so that curves survive an interruption."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the whole history."""
        if state.is_world_process_zero:
            write_json(self.path, state.log_history)


def pretrain(config: PretrainConfig) -> Moment:
    """Pretrain, or go on with an interrupted run in ``config.output``; writes weights, log and curves there."""
    seed_everything(config.seed)
    output = Path(config.output)
    backbone = Moment(moment_config(config)) if config.start is None else load_backbone(config.start)
    model = MaskedReconstruction(backbone, MaskingConfig(**config.masking), config.huber_delta)
    trainer = build_trainer(
        model,
        _training_config(config),
        _windows(config.windows, backbone.context_length, config.seed + 1),
        _windows(_VALIDATION_WINDOWS, backbone.context_length, config.seed),
        output / "checkpoints",
        labels=("values",),
        callbacks=[LogFile(output / "log.json")],
        shuffle=False,
        device=str(resolve_device(config.device)),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(output / "checkpoints"))
    backbone.save_pretrained(output)
    plot_training(output / "learning_curves.png", trainer.state.log_history)
    return backbone


def _windows(count: int, length: int, seed: int) -> SyntheticWindows:
    return SyntheticWindows(count, SyntheticCorpus(length, seed, block_size=_BLOCK))


def moment_config(config: PretrainConfig) -> MomentConfig:
    """Geometry of the backbone to pretrain; dropout is off, since no window is ever seen twice."""
    t5_config = {
        "model_type": "t5",
        "d_model": config.width,
        "d_kv": config.width // config.heads,
        "d_ff": config.feed_forward,
        "num_layers": config.layers,
        "num_heads": config.heads,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.0,
    }
    return MomentConfig(
        t5_config=t5_config,
        seq_len=config.context_length,
        patch_len=config.patch_length,
        patch_dropout=0.0,
        head_dropout=0.0,
        partial_patches="fill",
        other={"task_name": "reconstruction"},
    )


def _training_config(config: PretrainConfig) -> TrainingConfig:
    return TrainingConfig(
        learning_rate=config.learning_rate,
        max_steps=config.windows // config.batch_size,
        batch_size=config.batch_size,
        weight_decay=config.weight_decay,
        warmup_share=0.05,
        evaluations=config.evaluations,
        early_stopping_patience=config.evaluations,
        seed=config.seed,
        bf16=config.bf16,
        compile=config.compile,
        num_workers=config.num_workers,
    )
