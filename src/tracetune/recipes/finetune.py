"""Fine-tune a forecasting model on a file or a known data set, save it, and say what came out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from tracetune.adapters.options import AdaLoraOptions
from tracetune.base.config import flat_values
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.base.files import staged_folder
from tracetune.base.places import require_apart, require_empty, require_place
from tracetune.base.processes import from_main, is_main_process, join_processes
from tracetune.base.signals import Stopped
from tracetune.data.panels import Panel
from tracetune.data.splits import PanelSplit
from tracetune.estimators.fit_data import split_frames
from tracetune.estimators.forecaster import Forecaster
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import Method, method_named
from tracetune.recipes.configs.finetune import FinetuneConfig
from tracetune.recipes.finetune_report import draw_run, report_run
from tracetune.selection.schedule import SelectionConfig
from tracetune.training.checkpoints import what_was_kept
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

T = TypeVar("T")


def finetune(config: FinetuneConfig) -> Forecaster:
    """Fine-tune a forecasting model on a file or a known data set and save its adapter.

    Of several processes (torchrun, accelerate launch) the first one checks the places, writes and reports.
    """
    device = str(resolve_device(config.run.device))
    join_processes(device)
    from_main(lambda: _check_places(config))
    with _says_what_was_kept(config.run.checkpoints):
        chosen = config.backbone
        base = Forecaster.from_pretrained(chosen.model, chosen.prediction_length, chosen.context_length, device=device)
        panel, split, least = _data(base, config)
        given: dict[str, Any] = {"min_context": least, "non_negative": chosen.non_negative}
        tuned = base.fit_panel(panel, split, fit_config(config), callbacks=[ProgressBar()], **given)
        if is_main_process():
            _save(tuned, panel, split, config)
    return tuned


def _check_places(config: FinetuneConfig) -> None:
    """Refuse, before the work, folders that could not be written afterwards."""
    assert config.run.output is not None
    require_empty(config.run.output)
    if config.run.checkpoints is not None:
        require_place(config.run.checkpoints)
        require_apart(config.run.output, config.run.checkpoints)


@contextmanager
def _says_what_was_kept(checkpoints: str | None) -> Iterator[None]:
    """Inside, a signal that stops the run says what it kept and how it goes on."""
    try:
        yield
    except Stopped as stop:
        if checkpoints is None:
            stop.add_note("Nothing was kept: give --checkpoints FOLDER, and a run that was stopped can go on.")
        else:
            stop.add_note(what_was_kept(checkpoints))
        raise


def _save(tuned: Forecaster, panel: Panel, split: PanelSplit, config: FinetuneConfig) -> None:
    assert config.run.output is not None, "checked with the configuration"
    with staged_folder(config.run.output) as folder:
        tuned.save_pretrained(folder)
        draw_run(tuned, panel, split, folder)
    report_run(tuned, config.source, config.run.output)


def fit_config(config: FinetuneConfig) -> FitConfig:
    """Return how to fine-tune, as the library takes it."""
    values = flat_values(config)
    both = {name: values[name] for name in ("epoch_windows", "batch_size", "max_tokens", "seed")}
    parts = {
        "method": _method(config),
        "head": config.head.config(),
        "head_training": TrainingConfig(num_train_epochs=config.training.head_epochs, **both),
        "training": _same_names(TrainingConfig, values),
    }
    return _same_names(FitConfig, values | parts)


def _method(config: FinetuneConfig) -> Method:
    """Return the method with those of the options that it has.

    Raises:
        InputError: an option was given that the method does not have.
    """
    r = config.lora.r
    options = {
        "lora": config.lora.options(),
        "selection": _same_names(SelectionConfig, flat_values(config.selection) | {"seed": config.run.seed}),
        "adalora": AdaLoraOptions(init_r=r + (r + 1) // 2, target_r=r),
    }
    method: Any = type(method_named(config.method.method))
    taken = {field.name for field in fields(method)}
    for part in {"lora", "selection"} - taken:
        _refuse_given(getattr(config, part), config.method.method)
    return method(**{name: options[name] for name in taken})


def _refuse_given(options: Any, method: str) -> None:
    """Refuse options that were given although they change nothing with this method."""
    defaults = flat_values(type(options)())
    for name, value in flat_values(options).items():
        if value != defaults[name]:
            raise InputError(f"{argument(name, value)} changes nothing with the method {method!r}. Leave it out.")


def _same_names(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a ``kind`` with those of its fields that there are values for."""
    named = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in named if name in values})


def _data(base: Forecaster, config: FinetuneConfig) -> tuple[Panel, PanelSplit, list[int] | None]:
    """Return the series, their parts, and the least number of context steps in a window of each."""
    if config.source.dataset is not None:
        return *config.source.known_split(), None
    train, validation = config.source.reading(), None
    if config.validation_data is not None:
        validation = config.source.reading(train.options, config.validation_data).panel
    lengths = base.context_length, base.prediction_length
    return split_frames(train.panel, validation, *lengths, config.method.validation)
