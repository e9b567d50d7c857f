"""The order of a fine-tuning run: head on frozen features, then the adapters, then the best of all on validation."""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.lora import add_head_only
from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything
from tracetune.estimators.adapter_phase import History, Tuned, train_adapters, trained_parameters
from tracetune.estimators.head_phase import train_head
from tracetune.estimators.methods import METHODS, FitConfig
from tracetune.heads.head import HeadConfig
from tracetune.selection.gates import Gates
from tracetune.tasks.forecast_data import ForecastData, validation_loss
from tracetune.tasks.forecasting import ForecastModel
from tracetune.training.guard import Candidate, best_candidate
from tracetune.training.trace_callback import TraceCallback

__all__ = ["FitConfig", "FitResult", "adapted_model", "fit_forecaster"]

ZERO_SHOT, HEAD, SELECTION = "zero-shot", "head", "selection"


@dataclass(frozen=True)
class FitResult:
    """What fine-tuning gives.

    Attributes:
        model: the winner, a PEFT model; a plain ForecastModel after full fine-tuning.
        tuned: what the method itself made, whoever won; None for "linear_probe".
        candidates: every model that was compared on validation.
        winner: name of the best one.
        parameters: how many the winner trained, in "head" and "adapters" (or, fine-tuned in full, the backbone), and
            "adapters_before_selection", how many the method began with.
        history: the Trainer's log of each phase.
        seconds: wall-clock seconds of each phase, "selection" apart from the training it went with.
    """

    model: nn.Module
    tuned: Tuned | None
    candidates: tuple[Candidate, ...]
    winner: str
    parameters: dict[str, int]
    history: dict[str, History]
    seconds: dict[str, float]


def fit_forecaster(
    base: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    device: str = "cpu",
    callbacks: Sequence[TrainerCallback] = (),
) -> FitResult:
    """Fine-tune a copy of ``base``; it stays as it is.

    The phases: the backbone's own forecast is measured; a head is trained on frozen features; the method trains
    on from one of them, see ``config.start``. Whichever of the three has the lowest validation loss is returned.
    (For TRACE its start is the model with all gates closed.)

    Raises:
        InputError: options of the method that fit neither model nor run, or no candidate with a finite loss.
    """
    _check_method(base, data, config)
    seed_everything(config.training.seed)
    history: dict[str, History] = {}
    seconds: dict[str, float] = {}
    tuned: Tuned | None = None
    with _checkpoint_folder(config) as folder:
        starts = _starts(base, data, config, folder, device, callbacks, history, seconds)
        candidates = [candidate for candidate, _ in starts]
        models: dict[str, Callable[[], nn.Module]] = {
            candidate.name: partial(add_head_only, model) for candidate, model in starts
        }
        prepare = METHODS[config.method]
        if prepare is not None:
            start = copy.deepcopy(_chosen_start(starts, config))
            started = time.perf_counter()
            tuned = train_adapters(prepare, start, data, config, folder, device, callbacks)
            seconds[config.method] = time.perf_counter() - started
            if tuned.selection is not None:
                seconds[SELECTION] = tuned.selection["scoring_seconds"]
                seconds[config.method] -= seconds[SELECTION]
            history[config.method] = tuned.history
            candidates.append(Candidate(config.method, validation_loss(tuned.model, data.validation)))
            trained = tuned.model
            models[config.method] = lambda: trained
    winner = best_candidate(candidates).name
    model = models[winner]().eval()
    parameters = trained_parameters(model)
    if tuned is not None:
        parameters["adapters_before_selection"] = tuned.adapters_before_selection
    return FitResult(
        model=model,
        tuned=tuned,
        candidates=tuple(candidates),
        winner=winner,
        parameters=parameters,
        history=history,
        seconds=seconds,
    )


def adapted_model(
    base: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    device: str = "cpu",
    callbacks: Sequence[TrainerCallback] = (),
) -> nn.Module:
    """What ``config.method`` trains, whether or not it is better than what it started from; ``base`` stays as it is.

    Raises:
        InputError: the method trains nothing but the head, or its options do not fit the model or the run.
    """
    _check_method(base, data, config)
    prepare = METHODS[config.method]
    if prepare is None:
        raise InputError(f"Expected a method that trains more than the head, found {config.method!r}. Use 'lora'.")
    seed_everything(config.training.seed)
    with _checkpoint_folder(config) as folder:
        starts = _starts(base, data, config, folder, device, callbacks, {}, {})
        start = _chosen_start(starts, config)
        return train_adapters(prepare, start, data, config, folder, device, callbacks).model.eval()


def _starts(
    base: ForecastModel,
    data: ForecastData,
    config: FitConfig,
    folder: Path,
    device: str,
    callbacks: Sequence[TrainerCallback],
    history: dict[str, History],
    seconds: dict[str, float],
) -> list[tuple[Candidate, ForecastModel]]:
    """What a method can train on from, and is measured against: the backbone as it is, and with a trained head.

    The head's log and seconds go into ``history`` and ``seconds``.
    """
    zero_shot = _without_head(base).to(device)
    starts = [(Candidate(ZERO_SHOT, validation_loss(zero_shot, data.validation)), zero_shot)]
    if config.start != "native":
        head_model = _with_head(base, config.head).to(device)
        started = time.perf_counter()
        history[HEAD], loss = train_head(head_model, data, config, folder / HEAD, device, callbacks)
        seconds[HEAD] = time.perf_counter() - started
        starts.append((Candidate(HEAD, loss), head_model))
    return starts


def _chosen_start(starts: Sequence[tuple[Candidate, ForecastModel]], config: FitConfig) -> ForecastModel:
    """The model that ``config.start`` names."""
    models = {candidate.name: model for candidate, model in starts}
    named = {"native": ZERO_SHOT, "head": HEAD}
    return models[named.get(config.start) or best_candidate([candidate for candidate, _ in starts]).name]


def _check_method(base: ForecastModel, data: ForecastData, config: FitConfig) -> None:
    """Refuse options of the method that fit neither model nor run before anything is trained."""
    prepare = METHODS[config.method]
    if prepare is None:
        return
    model, callback = prepare(copy.deepcopy(base), config, data)
    if isinstance(callback, TraceCallback):
        steps = config.training.total_steps(len(data.train))
        config.selection.check(steps, Gates(model).parameter_counts())


@contextmanager
def _checkpoint_folder(config: FitConfig) -> Iterator[Path]:
    """The folder for checkpoints: the one that was asked for, or one that disappears."""
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(config.checkpoints or scratch)


def _without_head(base: ForecastModel) -> ForecastModel:
    return ForecastModel(
        copy.deepcopy(base.backbone), None, base.prediction_length, base.context_length, base.config.name_or_path
    )


def _with_head(base: ForecastModel, head: HeadConfig) -> ForecastModel:
    return ForecastModel.from_backbone(
        copy.deepcopy(base.backbone), base.prediction_length, head, base.context_length, base.config.name_or_path
    )
