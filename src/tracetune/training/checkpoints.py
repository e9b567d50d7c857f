"""Checkpoints of the Trainer that are whole or not used: a manifest is the last file of each, with sizes and hashes."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tracetune.base.errors import InputError
from tracetune.base.files import file_digest, follow_umask, read_json_object, write_json
from tracetune.base.leftovers import remove
from tracetune.base.processes import from_main, is_main_process, wait_for_all
from tracetune.training.checkpoint_steps import checkpoint_steps

logger = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"
_STATE_FILE = "trainer_state.json"
_KEPT = 2  # the last one, and the one before for the case that it is damaged


@runtime_checkable
class ClosableCallback(Protocol):
    """A callback that holds something outside of its own while training runs: a hook, a progress bar."""

    def close(self) -> None:
        """Give it back after a training that ended by an exception, without ``on_train_end``."""
        ...


class WholeCheckpoints(TrainerCallback):
    """Writes the manifest of each checkpoint, and then, not before, removes those that are no longer needed.

    It must be the last callback: what others put into a checkpoint is part of it.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Look for the best model where the checkpoints are now, should their folder have moved."""
        if state.best_model_checkpoint is not None:
            state.best_model_checkpoint = str(Path(args.output_dir) / Path(state.best_model_checkpoint).name)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Complete the checkpoint that was just written."""
        wait_for_all()  # every process writes its random state
        if args.should_save:
            _complete(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            _remove_needless(Path(args.output_dir))


def train(trainer: Trainer) -> None:
    """Train with whole checkpoints, going on from the newest one in the trainer's folder.

    A run that had ended there, at its last step or before, is not trained further and gives the same result. After an
    exception each `ClosableCallback` is closed.
    """
    folder = Path(trainer.args.output_dir)
    checkpoint = from_main(lambda: last_checkpoint(folder))
    if checkpoint is not None and _has_ended(Path(checkpoint)):
        trainer.get_batch_samples = _no_batches
        trainer.add_callback(_StopAtOnce())
    trainer.add_callback(WholeCheckpoints())
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except BaseException:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, ClosableCallback):
                callback.close()
        remove_unfinished(folder)
        raise


def last_checkpoint(folder: str | Path) -> str | None:
    """Return the newest whole checkpoint below ``folder`` or None, and remove newer ones that are not whole."""
    for checkpoint in reversed(_checkpoints(Path(folder))):
        damage = _damage(checkpoint)
        if damage is None:
            return str(checkpoint)
        logger.warning("%s is not whole (%s) and is passed over.", checkpoint, damage)
        remove(checkpoint)
    return None


def what_was_kept(folder: str | Path) -> str:
    """Return in words what a stopped run left in its folder, and how it goes on."""
    if any(Path(folder).glob(f"**/{PREFIX_CHECKPOINT_DIR}-*/{MANIFEST_FILE}")):
        return f"Its checkpoints are in {folder}: the same command goes on from there."
    return "It had no checkpoint yet: the same command starts again."


def remove_unfinished(folder: str | Path) -> None:
    """Remove checkpoints whose writing was cut off."""
    if is_main_process():
        for checkpoint in _checkpoints(Path(folder)):
            if not (checkpoint / MANIFEST_FILE).exists():
                remove(checkpoint)


class _StopAtOnce(TrainerCallback):
    """Ends training before its first step, as it had ended when the checkpoint was written."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        control.should_training_stop = True
        control.should_log = control.should_evaluate = control.should_save = False


def _no_batches(epoch_iterator: Iterator[object], num_batches: int, device: object) -> tuple[list[object], None]:
    return [], None


def _checkpoints(folder: Path) -> list[Path]:
    """Return folders of checkpoints, whole or not, by step."""
    return [folder / f"{PREFIX_CHECKPOINT_DIR}-{step}" for step in checkpoint_steps(folder)]


def _complete(checkpoint: Path) -> None:
    follow_umask(checkpoint)
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    content = {
        str(path.relative_to(checkpoint)): {"bytes": path.stat().st_size, "sha256": file_digest(path)} for path in files
    }
    write_json(checkpoint / MANIFEST_FILE, content)


def _damage(checkpoint: Path) -> str | None:
    """Return why a checkpoint cannot be gone on from; None where it can."""
    damage = _damaged_file(checkpoint)
    if damage is not None:
        return damage
    best = _best_of(checkpoint)
    if best is not None and best != checkpoint.name and (damage := _damaged_file(checkpoint.parent / best)):
        return f"its best model, {best}, is not: {damage}"
    return None


def _damaged_file(checkpoint: Path) -> str | None:
    if not (checkpoint / MANIFEST_FILE).is_file():
        return "it was not finished"
    try:
        for name, expected in read_json_object(checkpoint / MANIFEST_FILE).items():
            path = checkpoint / name
            size = path.stat().st_size if path.is_file() else None
            if size != expected["bytes"]:
                found = "is missing" if size is None else f"has {size} bytes"
                return f"{name} {found}, expected {expected['bytes']} bytes"
            if file_digest(path) != expected["sha256"]:
                return f"{name} has changed"
        return None if (checkpoint / _STATE_FILE).is_file() else f"{_STATE_FILE} is missing"
    except (InputError, OSError, KeyError, TypeError) as error:
        return f"{MANIFEST_FILE} cannot be read: {error}"


def _best_of(checkpoint: Path) -> str | None:
    """Return the name of the checkpoint with the best model when this one was written."""
    path = read_json_object(checkpoint / _STATE_FILE).get("best_model_checkpoint")
    return None if path is None else Path(path).name


def _has_ended(checkpoint: Path) -> bool:
    """Return whether training was over when a checkpoint was written: at its last step, or stopped early."""
    state = read_json_object(checkpoint / _STATE_FILE)
    control = state["stateful_callbacks"]["TrainerControl"]["args"]
    return control["should_training_stop"] or state["global_step"] >= state["max_steps"]


def _remove_needless(folder: Path) -> None:
    """Keep the last checkpoints and those with the best models of these; of others the manifest goes first."""
    checkpoints = _checkpoints(folder)
    last = [checkpoint for checkpoint in checkpoints if (checkpoint / MANIFEST_FILE).is_file()][-_KEPT:]
    needed = {checkpoint.name for checkpoint in last} | {_best_of(checkpoint) for checkpoint in last}
    for checkpoint in checkpoints:
        if checkpoint.name not in needed:
            (checkpoint / MANIFEST_FILE).unlink(missing_ok=True)
            remove(checkpoint)
