"""The record of all that decides the result of a fit, saved beside its checkpoints."""

from dataclasses import asdict

from tracetune.backbones.loading import weights_digest
from tracetune.base.identity import run_identity
from tracetune.base.json_types import JsonObject
from tracetune.base.processes import process_count
from tracetune.data.digest import data_digest
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.config import FitConfig
from tracetune.fitting.frozen_task import FrozenTask
from tracetune.tasks.task import TrainingData

_SURROUNDINGS = ("checkpoints", "restart", "cache_bytes")  # settings that change no result
_PLAIN = (bool, int, float, str, tuple)


def fit_identity(frozen: FrozenTask, data: TrainingData, config: FitConfig) -> JsonObject:
    """Return settings, task, digests of backbone and data, number of processes and versions of the libraries."""
    task = frozen.task
    settings = {name: value for name, value in asdict(config).items() if name not in _SURROUNDINGS}
    method = {"name": config.method.name, **settings.pop("method")}
    of_task = {name: value for name, value in vars(task).items() if isinstance(value, _PLAIN)}
    of_task.pop("name_or_path", None)  # the weights count, not where they are
    start = task.zero_shot(frozen.backbone)
    return run_identity(
        **settings,
        method=method,
        task={"name": task.name, **of_task},
        backbone=frozen.backbone_sha256,
        start_head=None if start is None or start.head is None else weights_digest(start.head),
        data={"train": data_digest(data.train), "validation": data_digest(data.validation)},
        **({} if data.guard is None else {"guard": data.guard.identity}),
        processes=process_count(),
        versions=library_versions(),
    )
