"""Fine-tune a forecasting model on a file or a known data set, save it, and say what came out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from tracetune.adapters.options import AdaLoraOptions
from tracetune.base.config import flat_values
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.base.files import staged_folder
from tracetune.base.places import require_apart, require_empty, require_place
from tracetune.base.processes import from_main, is_main_process, join_processes
from tracetune.base.signals import Stopped
from tracetune.data.table_files import read_frame
from tracetune.estimators.forecaster import Forecaster
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import Method, method_named
from tracetune.recipes.configs.finetune import FinetuneConfig
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.importance_plots import plot_history
from tracetune.report.tables import print_table
from tracetune.report.training_plots import plot_training
from tracetune.selection.schedule import SelectionConfig
from tracetune.tasks.forecast_data import WindowCounts
from tracetune.training.checkpoints import what_was_kept
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

HISTORY_FILE = "history.png"

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
        tuned = _fit(base, config)
        if is_main_process():
            _save(tuned, config)
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


def _save(tuned: Forecaster, config: FinetuneConfig) -> None:
    assert tuned.trace is not None and config.run.output is not None
    with staged_folder(config.run.output) as folder:
        tuned.save_pretrained(folder)
        for phase, history in tuned.history.items():
            plot_training(folder / f"training_{phase.replace('-', '_')}.png", history)
        if tuned.trace["selection"] is not None:
            draw_history(folder / HISTORY_FILE, tuned.trace["selection"])
    _report(tuned, config.run.output)


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


def draw_history(path: Path, selection: Mapping[str, Any]) -> None:
    """Draw the rounds of a record of TRACE: what was open after which step."""
    rounds = selection["rounds"]
    steps, opened = [each["step"] for each in rounds], [each["open"] for each in rounds]
    plot_history(path, list(selection["parameters"]), steps, opened)


def _fit(base: Forecaster, config: FinetuneConfig) -> Forecaster:
    how, bars = fit_config(config), [ProgressBar()]
    if config.source.dataset is not None:
        panel, split = config.source.known_split()
        return base.fit_panel(panel, split, how, non_negative=config.backbone.non_negative, callbacks=bars)
    validation = None if config.validation_data is None else read_frame(config.validation_data)
    columns = config.source.columns()
    return base.fit(
        config.source.frame(), validation, how, non_negative=config.backbone.non_negative, callbacks=bars, **columns
    )


def _report(tuned: Forecaster, output: str) -> None:
    trace = tuned.trace
    assert trace is not None
    console = Console()
    if trace["data"].get("counts"):
        console.print(WindowCounts(**trace["data"]["counts"]).describe(), highlight=False)
    print_table("Candidates on validation (scaled MSE)", candidate_rows(trace))
    console.print(verdict(trace), highlight=False)
    parameters, selection = trace["parameters"], trace["selection"]
    console.print(
        f"Trained parameters: {parameters['head']:,} in the head, {parameters['adapters']:,} in the adapters."
    )
    if selection is not None:
        console.print(
            f"TRACE kept {len(selection['kept'])} of {len(selection['parameters'])} modules "
            f"({selection['kept_parameters']:,} of {parameters['adapters_before_selection']:,} parameters); "
            f"selection took {trace['seconds']['selection']:.1f} s, training {trace['seconds']['trace']:.1f} s."
        )
    console.print(f"Saved to {output}. Forecast with: tracetune predict DATA --model {output} --output forecast.csv")
