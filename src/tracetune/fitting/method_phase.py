"""Train a method from its start, at one learning rate or at the best of several, as far as validation says."""

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from tracetune.adapters.linear_layers import LinearLayer
from tracetune.adapters.lora import refuse_likeness_to_head
from tracetune.base.errors import InputError, Remark, argument
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.candidates import Candidates
from tracetune.fitting.config import FitConfig
from tracetune.fitting.interpolation import adapter_path
from tracetune.fitting.learning_rate import at_rate, rates_of
from tracetune.fitting.methods.method import AdapterMethod
from tracetune.fitting.names import MODULES, NONE, ZERO_SHOT
from tracetune.fitting.shrinkage import BEYOND, shrink, shrink_modules
from tracetune.fitting.trained import Shrinkage, TrainedAdapters, TriedRate
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import AUTO
from tracetune.training.run import Run

logger = logging.getLogger(__name__)

TRIAL_SHARE = 0.25  # of the steps


@dataclass(frozen=True, eq=False)
class Tuned:
    """Model that a method made at one rate, with its losses.

    Attributes:
        model: moved along its way.
        losses: [S] on validation.
        shrinkage: how far it was moved; None where it was not.
        trained: results of its training.
        rate: the learning rate, and what it came to.
        seconds: wall-clock time of training and of moving it along its way.
    """

    model: nn.Module
    losses: np.ndarray
    shrinkage: Shrinkage | None
    trained: TrainedAdapters
    rate: TriedRate
    seconds: float


def check_method(layers: Mapping[str, LinearLayer], config: FitConfig, samples: int) -> None:
    """Refuse a method, or options of it, that fit neither the model's ``layers`` nor a training on so many samples.

    Raises:
        InputError: before anything is trained.
    """
    if config.start != ZERO_SHOT and isinstance(config.method, AdapterMethod):
        refuse_likeness_to_head(layers)
    steps = config.training.total_steps(samples)
    config.method.check(layers, steps)
    if config.training.learning_rate == AUTO:
        short = _trial_steps(steps)
        try:
            config.method.check(layers, short)
        except InputError as error:
            raise InputError(
                f"{argument('learning_rate', AUTO)} tries each rate for {short} of the {steps} steps, too few for the "
                f"method {config.method.name!r}: {error}"
            ) from error


def add_tuned(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> TrainedAdapters:
    """Train the method from ``config.start`` and add its model to the candidates; return the record of its training.

    With a learning rate of "auto" each rate is tried for a quarter of the steps, and the one with the lowest validation
    loss trains for all of them; whichever of these models has the lowest loss competes.
    """
    name = config.method.name
    if config.training.learning_rate == AUTO:
        tuned = _at_best_rate(candidates, data, config, run)
    else:
        tuned = _tuned(candidates, data, config, run.part(name))
    rates = tuned.trained.rates
    longer_was_worse = bool(rates) and not rates[-1].taken
    if tuned.shrinkage is not None and tuned.shrinkage.ended_early and not longer_was_worse:
        logger.warning(
            Remark(
                f"{name} is best on validation at {BEYOND[-1]:g} times what it has learned, the most that is tried: "
                f"training ended early. Train longer ({argument('num_train_epochs')}), or at a higher "
                f"{argument('learning_rate')}."
            )
        )
    candidates.add(name, tuned.model, tuned.losses, tuned.shrinkage)
    return tuned.trained


def trials(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> Iterator[Tuned]:
    """Train for a quarter of the steps at each learning rate that suits the method, from the same start."""
    steps = _trial_steps(config.training.total_steps(len(data.train)))
    for rate in rates_of(config.method):
        training = replace(config.training, learning_rate=rate, max_steps=steps)
        with _selection_in_silence():
            tuned = _tuned(candidates, data, replace(config, training=training), run.part(f"rate-{rate:g}"))
        logger.info("Learning rate %g: validation loss %g after %d steps.", rate, tuned.rate.loss, steps)
        yield tuned
        del tuned  # one model less in memory while the next one trains


@contextmanager
def _selection_in_silence() -> Iterator[None]:
    """Leave it to the whole training to say what selection costs and what it could tell, instead of four times."""
    selection = logging.getLogger("tracetune.selection")
    level = selection.level
    selection.setLevel(logging.ERROR)
    try:
        yield
    finally:
        selection.setLevel(level)


def _at_best_rate(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> Tuned:
    best: Tuned | None = None
    rates: list[TriedRate] = []
    seconds = 0.0
    for tuned in trials(candidates, data, config, run):
        rates.append(tuned.rate)
        seconds += tuned.seconds
        if best is None or tuned.rate.loss < best.rate.loss:
            best = tuned
        del tuned
    assert best is not None, "there are rates"
    whole = _tuned(candidates, data, at_rate(config, best.rate.learning_rate), run.part(config.method.name))
    taken = whole if whole.rate.loss <= best.rate.loss else best
    rates = [replace(each, taken=each is taken.rate) for each in (*rates, whole.rate)]
    others = seconds + whole.seconds - taken.seconds
    return replace(taken, trained=replace(taken.trained, rates=tuple(rates), rate_seconds=others))


def _tuned(candidates: Candidates, data: TrainingData, config: FitConfig, run: Run) -> Tuned:
    """Train at one rate, and move the model along its way as far as validation says."""
    begun = time.perf_counter()
    start = candidates.named(config.start)
    assert isinstance(start.model, TaskModel), "what a method starts from has no adapters"
    model, trained = train_adapters(copy.deepcopy(start.model), data, config, run)
    shrinkage = None
    if config.shrink == NONE:
        losses = candidates.measure(model)
    else:
        if config.shrink == MODULES:
            most = config.training.most_windows(start.model.tokens_per_sample) or config.training.batch_size
            rows = min(most, config.training.batch_size)
            shrink_modules(model, candidates.validation, data.known_groups, rows)
        path = adapter_path(start.model, model)
        known = {0.0: start.losses}
        shrinkage = shrink(path.go_to, lambda: candidates.measure(model), candidates.groups, known, BEYOND)
        losses = shrinkage.losses
    mean = float(losses.mean())
    steps = config.training.total_steps(len(data.train))
    rate = TriedRate(config.training.only_rate(), steps, mean if math.isfinite(mean) else None)
    return Tuned(model, losses, shrinkage, trained, rate, time.perf_counter() - begun)


def _trial_steps(steps: int) -> int:
    return math.ceil(TRIAL_SHARE * steps)
