"""Pretrain a MOMENT-type backbone on synthetic series by masked reconstruction."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.base.files import write_json
from tracetune.base.folder_lock import FolderLock
from tracetune.base.identity import claim, run_identity
from tracetune.base.json_types import JsonObject
from tracetune.base.processes import from_main, is_main_process, join_processes, process_count
from tracetune.base.seeds import seed_everything
from tracetune.base.signals import Stopped
from tracetune.data.synthetic.corpus import SyntheticCorpus
from tracetune.data.synthetic.samples import finished_rows, phenomenon, sample_rows
from tracetune.evaluation.protocol import library_versions
from tracetune.recipes.settings.pretrain import PretrainConfig
from tracetune.report.corpus_sheet import plot_corpus
from tracetune.report.training_plots import plot_training
from tracetune.tasks.reconstruction import MaskedReconstruction, MaskingConfig
from tracetune.training.checkpoints import train, what_was_kept
from tracetune.training.config import TrainingConfig
from tracetune.training.feature_cache import CachedBatches
from tracetune.training.progress import ProgressBar
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer

_VALIDATION_WINDOWS = 2048
_BLOCK, _BLOCK_ON_GPU = 4096, 32_768  # windows generated at once
_SHEET_COLUMNS = 4
_MAY_CHANGE = ("output", "restart", "device", "num_workers")  # between the parts of an interrupted run
_STATE = ("checkpoints/checkpoint-*", "snapshots/*", "log.json", "model.safetensors", "config.json")


class SyntheticWindows(Dataset):
    """The first ``windows`` series of a synthetic corpus, [1, T] each, as a data set."""

    def __init__(self, windows: int, corpus: SyntheticCorpus) -> None:
        self.windows, self.corpus = windows, corpus

    def __len__(self) -> int:
        return self.windows

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return rows ``indices`` as one batch ``{"values": [B, 1, T]}``."""
        return {"values": self.corpus.rows(indices).unsqueeze(1)}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return row ``index`` as ``{"values": [1, T]}``."""
        return {"values": self.corpus.rows([index])}


class LogFile(TrainerCallback):
    """Writes the Trainer's log as JSON after every entry, so that curves survive an interruption."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Write the whole history."""
        if state.is_world_process_zero:
            write_json(self.path, state.log_history)


class Snapshots(TrainerCallback):
    """Keeps the weights of a backbone whenever training has seen one of the given numbers of windows."""

    def __init__(self, backbone: Moment, folder: Path, counts: Sequence[int], windows_per_step: int) -> None:
        self.backbone, self.folder = backbone, folder
        self.counts, self.windows_per_step = counts, windows_per_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Save where the step just done reached a number."""
        seen = state.global_step * self.windows_per_step
        for count in self.counts:
            if state.is_world_process_zero and seen - self.windows_per_step < count <= seen:
                self.backbone.save_pretrained(self.folder / str(count))


def pretrain(config: PretrainConfig) -> Moment:
    """Pretrain, or go on with an interrupted run in ``config.output``; writes weights, log and curves there."""
    output = Path(config.output)
    device = resolve_device(config.device)
    join_processes(device.type)
    seed_everything(config.seed)
    backbone = Moment(moment_config(config)) if config.start is None else _moment(config.start)
    with FolderLock() as lock:
        from_main(lambda: _claim(output, config, backbone, lock))
        _train(config, backbone, output, device)
    return backbone


def _moment(name: str) -> Moment:
    """Load the model to pretrain on.

    Raises:
        InputError: it is none that reconstructs hidden patches.
    """
    backbone = load_backbone(name)
    if not isinstance(backbone, Moment):
        raise InputError(
            f"Expected {argument('start')} to name a MOMENT model, found {type(backbone).__name__} in {name}: "
            "pretraining rebuilds hidden patches, which it cannot hide."
        )
    return backbone


def _claim(output: Path, config: PretrainConfig, backbone: Moment, lock: FolderLock) -> None:
    lock.hold(output)
    claim(output, _identity(config, backbone), _STATE, restart=config.restart)


def _train(config: PretrainConfig, backbone: Moment, output: Path, device: torch.device) -> None:
    """Train from the last checkpoint, or the beginning; write weights, log and curves."""
    _begin(output, config, backbone.context_length)
    per_step = config.batch_size * _processes(device)
    model = MaskedReconstruction(backbone, MaskingConfig(**config.masking), config.huber_delta)
    callbacks = (
        LogFile(output / "log.json"),
        Snapshots(backbone, output / "snapshots", config.snapshots, per_step),
        ProgressBar("pretraining"),
    )
    trainer = build_trainer(
        TrainedModule(model, labels=("values",)),
        _training_config(config, per_step, device),
        training_windows(config, backbone.context_length, device),
        _validation_windows(config, backbone.context_length),
        Run(output / "checkpoints", str(device), callbacks),
        shuffle=False,
    )
    trainer.args.dataloader_pin_memory = False  # what is on the GPU already cannot be pinned
    try:
        train(trainer)
    except Stopped as stop:
        stop.add_note(what_was_kept(output))
        raise
    if trainer.is_world_process_zero():
        plot_training(output / "learning_curves.png", trainer.state.log_history)
        backbone.save_pretrained(output)


def training_windows(config: PretrainConfig, length: int, device: torch.device) -> SyntheticWindows:
    """Return the windows to train on; made on the GPU where training runs there.

    They are read in order of position. Of P processes (``torchrun``, ``accelerate launch``) each reads every P-th
    batch, so that none sees the windows of another; each generates all blocks, which costs little on a GPU.
    """
    place, block = ("cuda", _BLOCK_ON_GPU) if device.type == "cuda" else ("cpu", _BLOCK)
    return SyntheticWindows(config.windows, SyntheticCorpus(length, config.seed + 1, place, block_size=block))


def _validation_windows(config: PretrainConfig, length: int) -> CachedBatches:
    """Return windows of another seed, from the CPU wherever training runs, so that losses of all machines compare."""
    corpus = SyntheticCorpus(length, config.seed, block_size=_BLOCK)
    return CachedBatches({"values": corpus.rows(range(_VALIDATION_WINDOWS)).unsqueeze(1)})


def _processes(device: torch.device) -> int:
    """Return how many batches make one step: processes of a distributed run, or GPUs that one process shares among."""
    processes = process_count()
    return processes if processes > 1 or device.type != "cuda" else torch.cuda.device_count()


def _identity(config: PretrainConfig, start: Moment) -> JsonObject:
    """Return the identity of the run that the state in an output folder belongs to."""
    settings = {name: value for name, value in asdict(config).items() if name not in _MAY_CHANGE}
    return run_identity(
        **settings, start_weights=weights_digest(start), processes=process_count(), versions=library_versions()
    )


def _begin(output: Path, config: PretrainConfig, length: int) -> None:
    """Write what the run is: its configuration, and a sheet of the series that it learns from."""
    if not is_main_process():
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


def _as_json(config: PretrainConfig) -> JsonObject:
    return json.loads(json.dumps(asdict(config)))


def moment_config(config: PretrainConfig) -> MomentConfig:
    """Return the geometry of the backbone to pretrain; dropout is off, since no window is ever seen twice."""
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
        batch_size=config.batch_size * process_count(),
        weight_decay=config.weight_decay,
        warmup_share=0.05,
        evaluations=config.evaluations,
        early_stopping_patience=config.evaluations,
        seed=config.seed,
        bf16=config.bf16,
        compile=config.compile,
        num_workers=0 if device.type == "cuda" else config.num_workers,
    )
