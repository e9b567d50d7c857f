"""Settings of a fine-tuning command as configuration of the library, and the frame of its run; for every task."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from tracetune.base.config import flat_values
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.base.files import require_place
from tracetune.base.folders import require_apart, require_empty, reserved
from tracetune.base.processes import from_main, join_processes
from tracetune.base.signals import Stopped
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import Method, RankedMethod, method_named
from tracetune.recipes.settings.finetune import FinetuneRun, FinetuneSettings
from tracetune.selection.config import SelectionConfig
from tracetune.training.checkpoints import what_was_kept
from tracetune.training.config import TrainingConfig

T = TypeVar("T")


@contextmanager
def finetune_run(run: FinetuneRun) -> Iterator[str]:
    """Join the processes of a run, check its places and keep other runs from its output; yields the device.

    Inside, a signal that stops the run says what it kept and how it goes on.

    Raises:
        InputError: a place that cannot be written or is another run's, or a device that is not there.
    """
    device = str(resolve_device(run.device))
    join_processes(device)
    with ExitStack() as stack:

        def reserve_and_check() -> None:
            stack.enter_context(reserved(run.folder))  # first: what a killed run left of its own goes in any case
            _check_places(run)

        from_main(reserve_and_check)
        with _says_what_was_kept(run.checkpoints):
            yield device


def _check_places(run: FinetuneRun) -> None:
    """Refuse, before the work, folders that could not be written afterwards."""
    require_empty(run.folder)
    if run.checkpoints is not None:
        require_place(run.checkpoints)
        require_apart(run.folder, run.checkpoints)


@contextmanager
def _says_what_was_kept(checkpoints: str | None) -> Iterator[None]:
    """Print what was kept and how to go on when a signal stops the run."""
    try:
        yield
    except Stopped as stop:
        if checkpoints is None:
            stop.add_note("Nothing was kept: give --checkpoints FOLDER, and a run that was stopped can go on.")
        else:
            stop.add_note(what_was_kept(checkpoints))
        raise


def fit_config(choices: FinetuneSettings, head: object = None, *more: object) -> FitConfig:
    """Return the configuration of a fit from the settings of a command.

    Args:
        choices: settings of the command.
        head: configuration of the head; None takes the task's.
        more: further parts of the configuration, whose settings go under their own names.

    Raises:
        InputError: an option was given that the method does not have.
    """
    values: dict[str, object] = {}
    for part in (choices.method, choices.training, choices.run, *more):
        values |= flat_values(part)
    both = {name: values[name] for name in ("epoch_windows", "batch_size", "max_tokens", "seed")}
    parts = {
        "method": _method(choices),
        "head": head,
        "head_training": _same_names(TrainingConfig, both | {"num_train_epochs": choices.training.head_epochs}),
        "training": _same_names(TrainingConfig, values),
    }
    return _same_names(FitConfig, values | parts)


def refuse_fit_options(choices: FinetuneSettings) -> None:
    """Refuse options of training where the method of a command is to train nothing.

    Raises:
        InputError: names the first one that was given.
    """
    method = choices.method.method
    for part in (choices.method, choices.lora, choices.selection, choices.training):
        _refuse_given(part, method)
    for name in ("checkpoints", "restart", "max_tokens", "cache_bytes", "cache_dtype"):
        if (value := getattr(choices.run, name)) not in (None, False):
            raise InputError(f"{argument(name, value)} changes nothing with the method {method!r}. Leave it out.")


def _method(choices: FinetuneSettings) -> Method:
    """Return the method with those of the options that it has.

    Raises:
        InputError: an option was given that the method does not have.
    """
    options: dict[str, object] = {
        "lora": choices.lora.options(),
        "selection": _same_names(SelectionConfig, flat_values(choices.selection) | {"seed": choices.run.seed}),
    }
    method: Any = type(method_named(choices.method.method))
    taken = {field.name for field in fields(method)}
    for part in options.keys() - taken:
        _refuse_given(getattr(choices, part), choices.method.method)
    chosen: Method = method(**{name: options[name] for name in options.keys() & taken})
    return chosen.at_rank(choices.lora.r) if isinstance(chosen, RankedMethod) else chosen


def _refuse_given(options: object, method: str) -> None:
    """Refuse options that were given although they change nothing with this method."""
    defaults = flat_values(type(options)())
    for name, value in flat_values(options).items():
        if value != defaults[name]:
            raise InputError(f"{argument(name, value)} changes nothing with the method {method!r}. Leave it out.")


def _same_names(kind: type[T], values: Mapping[str, object]) -> T:
    """Return a ``kind`` with those of its fields that there are values for."""
    named = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in named if name in values})
