"""Pretrain a MOMENT-type backbone on synthetic series by masked reconstruction."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import TrainerCallback

from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError
from tracetune.base.files import read_json, write_json
from tracetune.base.seeds import seed_everything
from tracetune.data.synthetic.corpus import SyntheticCorpus
from tracetune.data.synthetic.samples import finished_rows, phenomenon, sample_rows
from tracetune.recipes.configs.pretrain import PretrainConfig
from tracetune.report.corpus_sheet import plot_corpus
from tracetune.report.training_plots import plot_training
from tracetune.tasks.reconstruction import MaskedReconstruction, MaskingConfig
from tracetune.training.feature_cache import CachedBatches
from tracetune.training.progress import ProgressBar
from tracetune.training.trainer import TrainingConfig, build_trainer, last_checkpoint

_VALIDATION_WINDOWS = 2048
_BLOCK, _BLOCK_ON_GPU = 4096, 32_768  # windows generated at once
_SHEET_COLUMNS = 4
_MAY_CHANGE = ("output", "device", "num_workers")  # between the parts of an interrupted run


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


class Snapshots(TrainerCallback):
    """Keeps the weights of a backbone whenever training has seen one of the given numbers of windows."""

    def __init__(self, backbone: Moment, folder: Path, counts: Sequence[int], windows_per_step: int) -> None:
        self.backbone, self.folder = backbone, folder
        self.counts, self.windows_per_step = counts, windows_per_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save where the step just done reached a number."""
        seen = state.global_step * self.windows_per_step
        for count in self.counts:
            if state.is_world_process_zero and seen - self.windows_per_step < count <= seen:
                self.backbone.save_pretrained(self.folder / str(count))


def pretrain(config: PretrainConfig) -> Moment:
    """Pretrain, or go on with an interrupted run in ``config.output``; writes weights, log and curves there."""
    output = Path(config.output)
    checkpoint = last_checkpoint(output / "checkpoints")
    _require_same_run(output / "pretraining.json", config, checkpoint)
    device = resolve_device(config.device)
    seed_everything(config.seed)
    backbone = Moment(moment_config(config)) if config.start is None else load_backbone(config.start)
    _begin(output, config, backbone.context_length)
    per_step = config.batch_size * _processes(device)
    trainer = build_trainer(
        MaskedReconstruction(backbone, MaskingConfig(**config.masking), config.huber_delta),
        _training_config(config, per_step, device),
        training_windows(config, backbone.context_length, device),
        _validation_windows(config, backbone.context_length),
        output / "checkpoints",
        labels=("values",),
        callbacks=[
            LogFile(output / "log.json"),
            Snapshots(backbone, output / "snapshots", config.snapshots, per_step),
            ProgressBar("pretraining"),
        ],
        shuffle=False,
        device=str(device),
    )
    trainer.args.dataloader_pin_memory = False  # what is on the GPU already cannot be pinned
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        backbone.save_pretrained(output)
        plot_training(output / "learning_curves.png", trainer.state.log_history)
    return backbone


def training_windows(config: PretrainConfig, length: int, device: torch.device) -> SyntheticWindows:
    """The windows to train on; made on the GPU where training runs there.

    They are read in order of position. Several processes (``torchrun``, ``accelerate launch``) read every so-manieth
    batch each, so none sees the windows of another; each generates all blocks, though, which costs little on a GPU.
    """
    place, block = ("cuda", _BLOCK_ON_GPU) if device.type == "cuda" else ("cpu", _BLOCK)
    return SyntheticWindows(config.windows, SyntheticCorpus(length, config.seed + 1, place, block_size=block))


def _validation_windows(config: PretrainConfig, length: int) -> CachedBatches:
    """Windows of another seed, from the CPU wherever training runs, so that losses of all machines compare."""
    corpus = SyntheticCorpus(length, config.seed, block_size=_BLOCK)
    return CachedBatches({"values": corpus.rows(range(_VALIDATION_WINDOWS)).unsqueeze(1)})


def _processes(device: torch.device) -> int:
    """How many batches make one step: processes of a distributed run, or GPUs that one process shares among."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return processes if processes > 1 or device.type != "cuda" else torch.cuda.device_count()


def _require_same_run(record: Path, config: PretrainConfig, checkpoint: str | None) -> None:
    """Refuse to go on from a checkpoint of another configuration."""
    if checkpoint is None or not record.is_file():
        return
    before, now = read_json(record), _as_json(config)
    changed = [name for name in now if before.get(name) != now[name] and name not in _MAY_CHANGE]
    if changed:
        lines = ", ".join(f"{name} (was {before.get(name)}, now {now[name]})" for name in changed)
        raise InputError(
            f"{record.parent} holds an interrupted run of another configuration: {lines}. Choose another output, "
            "restore the configuration, or delete that folder."
        )


def _begin(output: Path, config: PretrainConfig, length: int) -> None:
    """Write what the run is: its configuration, and a sheet of the series that it learns from."""
    if int(os.environ.get("RANK", "0")):
        return
    write_json(output / "pretraining.json", _as_json(config))
    plot_samples(output / "samples.png", length)


def plot_samples(path: str | Path, length: int = 512) -> None:
    """Draw some rows of every generator, with the phenomenon it stands for, and of the finished corpus."""
    groups = sample_rows(_SHEET_COLUMNS, length)
    captions = {name: phenomenon(name) for name in groups}
    finished = finished_rows(3 * _SHEET_COLUMNS, length).split(_SHEET_COLUMNS)
    for number, rows in enumerate(finished, start=1):
        name = f"finished corpus, {number} of {len(finished)}"
        groups[name] = rows
        captions[name] = "What the model sees: generators in their shares, mixed, with accidents of measurement."
    plot_corpus(path, {name: rows.numpy() for name, rows in groups.items()}, captions)


def _as_json(config: PretrainConfig) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(config)))


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


def _training_config(config: PretrainConfig, windows_per_step: int, device: torch.device) -> TrainingConfig:
    return TrainingConfig(
        learning_rate=config.learning_rate,
        max_steps=max(1, config.windows // windows_per_step),
        batch_size=config.batch_size,
        weight_decay=config.weight_decay,
        warmup_share=0.05,
        evaluations=config.evaluations,
        early_stopping_patience=config.evaluations,
        seed=config.seed,
        bf16=config.bf16,
        compile=config.compile,
        num_workers=0 if device.type == "cuda" else config.num_workers,
    )
