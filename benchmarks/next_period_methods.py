"""Training and measuring of ``benchmarks/next_period.py``, with the package's own phases.

A method is trained from its start (zero-shot, or the head as a fit trains it) to the last step, and its losses on
validation and test are measured on the way from start to end: see ``fitting/interpolation.py``. "fit" is a whole fit,
whose losses are those of the model that comes out.
"""

import copy
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from benchmarks.next_period_data import CONTEXT, Cut
from tracetune.adapters.options import AdaLoraOptions, LoraOptions
from tracetune.evaluation.periods import SampleGroups
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.candidates import Candidates
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.head_phase import train_head
from tracetune.fitting.interpolation import WeightPath, adapter_path, head_path
from tracetune.fitting.learning_rate import with_rate
from tracetune.fitting.methods import AdaLora, Lora, Method, Trace
from tracetune.fitting.names import BEST, HEAD, NONE, TOGETHER, ZERO_SHOT
from tracetune.fitting.shrinkage import BEYOND, search, shrink_modules
from tracetune.selection.config import SelectionConfig
from tracetune.selection.scores import SCORES
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.tasks.forecasting.model import Forecasting, ForecastModel
from tracetune.tasks.task import TaskModel
from tracetune.training.config import AUTO, TrainingConfig
from tracetune.training.measure import sample_losses
from tracetune.training.run import Run


@dataclass(frozen=True)
class Draw:
    """Seeds of the random choices.

    Attributes:
        seed: of the training.
        case: of set, horizon and cut, too.
    """

    seed: int
    case: int


@dataclass(frozen=True)
class Trial:
    """A method and the start that it trains from.

    Attributes:
        method: the package's method, for a seed and a case; None trains the head only.
        start: "zero-shot", "head", or "best", whichever of the two a fit would start from.
        rate: peak learning rate of the adapters; None for the method's own.
        best_step: whether the step with the lowest validation loss is taken, as a fit does, or the last one.
        modules: whether to measure it with a factor on each module, too (``shrink="modules"``).
        fit: a whole fit with these settings in place of the defaults, those of its training in "training".
    """

    method: Callable[["Draw"], Method] | None = None
    start: str = ZERO_SHOT
    rate: float | None = 2e-3
    best_step: bool = False
    modules: bool = False
    fit: dict[str, Any] | None = None


def _trace(keep: float, score: str = "gated_dsic", **options: Any) -> Callable[[Draw], Method]:
    def method(draw: Draw) -> Method:
        name = _shuffled(draw.case) if score == SHUFFLED else score
        return Trace(SelectionConfig(keep=keep, score=name, seed=draw.seed, **options))

    return method


def _lora(**options: Any) -> Callable[[Draw], Method]:
    return lambda draw: Lora(LoraOptions(**options))


SHUFFLED = "shuffled gated_dsic"
# Of the 6 blocks of tracetune/tiny, with 30,720 parameters in LoRA of rank 2 on all layers.
LAST_HALF = tuple(f"*.block.{block}.*" for block in (3, 4, 5))
QUERY_VALUE = ("*.q", "*.v")
BEST_STEP, LAST_STEP, BEST_START = ", best step", ", last step", "best, then "
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)

TRIALS = {
    "default": Trial(fit={}),
    "default, guard_margin 0": Trial(fit={"guard_margin": 0.0}),
    "default, shrink none, guard_margin 0": Trial(fit={"guard_margin": 0.0, "shrink": NONE}),
    "default, auto": Trial(fit={"training": {"learning_rate": AUTO}}),
    "lora, auto": Trial(
        fit={"method": Lora(), "start": ZERO_SHOT, "guard_margin": 0.0, "training": {"learning_rate": AUTO}}
    ),
    "head": Trial(start=HEAD),
    "trace .25, ties by cost": Trial(_trace(0.25, ties=2.0), modules=True),
    "trace .25, final .3": Trial(_trace(0.25, final_step=0.3)),
    "trace .25, final .3, ties by cost": Trial(_trace(0.25, final_step=0.3, ties=2.0)),
    "shuffled scores .25, ties by cost": Trial(_trace(0.25, SHUFFLED, ties=2.0)),
    "trace .2 of parameters, final .3, ties by cost": Trial(
        _trace(0.2, final_step=0.3, ties=2.0, budget_unit="parameters")
    ),
    "trace .25": Trial(_trace(0.25)),
    "random .25": Trial(_trace(0.25, "random")),
    "shuffled scores .25": Trial(_trace(0.25, SHUFFLED)),
    "lora": Trial(_lora()),
    "lora, rank 1, half the blocks": Trial(_lora(r=1, lora_alpha=2.0, target_modules=LAST_HALF)),
    "lora, rank 1": Trial(_lora(r=1, lora_alpha=2.0)),
    "lora, q and v": Trial(_lora(target_modules=QUERY_VALUE)),
    "adalora": Trial(lambda draw: AdaLora(AdaLoraOptions(init_r=2, target_r=1))),
    "trace .1": Trial(_trace(0.1)),
    "random .1": Trial(_trace(0.1, "random")),
    "trace .5": Trial(_trace(0.5)),
    "random .5": Trial(_trace(0.5, "random")),
    "head, then trace .25": Trial(_trace(0.25), HEAD, 5e-4),
    "head, then random .25": Trial(_trace(0.25, "random"), HEAD, 5e-4),
    **{f"head, then trace .{share}": Trial(_trace(share / 10), HEAD, 5e-4) for share in (1, 5)},
    **{f"head, then random .{share}": Trial(_trace(share / 10, "random"), HEAD, 5e-4) for share in (1, 5)},
    "head, then lora": Trial(_lora(), HEAD, 5e-4),
    "head, then lora, rank 1, half the blocks": Trial(_lora(r=1, lora_alpha=2.0, target_modules=LAST_HALF), HEAD, 5e-4),
    "best, then trace .25": Trial(_trace(0.25), BEST, None, best_step=True),
    "best, then trace .5 at 2e-3": Trial(_trace(0.5), BEST, 2e-3, best_step=True),
    "best, then trace .5": Trial(_trace(0.5), BEST, None, best_step=True),
    "best, then lora": Trial(_lora(), BEST, None, best_step=True),
    **{f"lora, rate {rate:g}": Trial(_lora(), rate=rate, modules=True) for rate in RATES},
    **{f"lora, rate {rate:g}{BEST_STEP}": Trial(_lora(), rate=rate, best_step=True) for rate in RATES},
    **{f"lora, rate {rate:g}{LAST_STEP}": Trial(_lora(), rate=rate) for rate in RATES},
    **{f"trace .25, rate {rate:g}{BEST_STEP}": Trial(_trace(0.25), rate=rate, best_step=True) for rate in RATES},
}


def _shuffled(case: int) -> str:
    """Register the scores with modules permuted, in one order throughout a run: as sparse, without meaning."""
    score = SCORES["gated_dsic"]
    name = f"{SHUFFLED} {case}"

    @functools.wraps(score.function)
    def shuffled(*arguments: Any, **options: Any) -> ScoreValues:
        found = score.function(*arguments, **options)
        order = np.random.default_rng(case).permutation(len(found.values))
        errors = None if found.standard_errors is None else found.standard_errors[order]
        return ScoreValues(found.values[order], errors, found.samples, found.forward_equivalents)

    shuffled.__qualname__ = name
    register_score(name, passes=score.passes, signed=score.signed, beside=score.beside)(shuffled)
    return name


@dataclass
class Bench:
    """A cut with a backbone, zero-shot losses and, for each seed, the head: trials on it share them.

    Attributes:
        cut: the data.
        backbone: frozen; trials train copies.
        batch_size: windows a step.
    """

    cut: Cut
    backbone: Any
    batch_size: int
    _zero_shot: dict[str, Any] | None = None
    _heads: dict[int, TaskModel] = field(default_factory=dict)

    @property
    def task(self) -> Forecasting:
        """Return the task of forecasting the cut's horizon."""
        return Forecasting(self.cut.horizon, CONTEXT)

    def run(self, trial: Trial, draw: Draw, steps: int) -> dict[str, Any]:
        """Train, measure, and return the entries of a cell."""
        seed = draw.seed
        started = time.process_time()
        if self._zero_shot is None:
            self._zero_shot = self._measured(self._zero_shot_model())
        if trial.fit is not None:
            found = self._fit(trial.fit, seed, steps)
        elif trial.method is None:
            found = self._head_trial(seed)
        else:
            found = self._method_trial(trial, trial.method(draw), seed, steps)
        return {"zero_shot": self._zero_shot, **found, "cpu_seconds": time.process_time() - started}

    def _fit(self, settings: dict[str, Any], seed: int, steps: int) -> dict[str, Any]:
        training = self._training(None, seed, steps, **settings.get("training", {}))
        config = FitConfig(**{**settings, "training": training})
        with Run.at(None) as run:
            fitted = fit(self.task, self.backbone, self.cut.data, config, run)
        return {
            "returned": self._measured(fitted.model),
            "winner": fitted.record.winner,
            "candidates": fitted.record.candidates,
            "learning_rates": fitted.record.validation["learning_rates"],
            "selection": _selection(fitted.record.method_report),
        }

    def _head_trial(self, seed: int) -> dict[str, Any]:
        model = self._trained_head(seed, NONE)
        path = head_path(model)
        assert path is not None, "the head of this backbone starts as zero-shot"
        return {"path": self._along(path, model, beyond=())}

    def _method_trial(self, trial: Trial, method: Method, seed: int, steps: int) -> dict[str, Any]:
        start = self._start(trial.start, seed)
        rounds = {} if trial.best_step else {"evaluations": 1}
        config = FitConfig(method=method, training=self._training(trial.rate, seed, steps, **rounds))
        config = with_rate(config, self.task)
        with Run.at(None) as run:
            model, trained = train_adapters(copy.deepcopy(start), self.cut.data, config, run)
        path = adapter_path(start, model)
        found = {
            "adapters": trained.adapters_before_selection,
            "selection": _selection(trained.report.content),
            "path": self._along(path, model),
        }
        if trial.modules:
            path.go_to(1.0)
            shrink_modules(model, self.cut.data.validation, self.cut.data.known_groups)
            found["modules"] = self._along(adapter_path(start, model), model)
        return found

    def _training(self, rate: float | None, seed: int, steps: int, **settings: Any) -> TrainingConfig:
        rates = {} if rate is None else {"learning_rate": rate}
        return TrainingConfig(max_steps=steps, batch_size=self.batch_size, seed=seed, **rates, **settings)

    def _zero_shot_model(self) -> ForecastModel:
        model = self.task.zero_shot(self.backbone)
        assert model is not None
        return model

    def _start(self, name: str, seed: int) -> TaskModel:
        """Return the model that a trial starts from."""
        candidates = Candidates(self.cut.data)
        if name != HEAD:
            candidates.add(ZERO_SHOT, self._zero_shot_model())
        if name != ZERO_SHOT:
            candidates.add(HEAD, self._head_start(seed))
        found = candidates.best().model
        assert isinstance(found, TaskModel)
        return found

    def _head_start(self, seed: int) -> TaskModel:
        if seed not in self._heads:
            self._heads[seed] = self._trained_head(seed, TOGETHER)
        return self._heads[seed]

    def _trained_head(self, seed: int, shrink: str) -> TaskModel:
        config = FitConfig(head_training=TrainingConfig(num_train_epochs=10, seed=seed), shrink=shrink)
        model = self.task.model(self.backbone, self.task.default_head)
        with Run.at(None) as run:
            train_head(self.task, model, self.cut.data, config, run)
        return model

    def _along(self, path: WeightPath, model: nn.Module, beyond: Sequence[float] = BEYOND) -> dict[str, Any]:
        """Return the factors that a fit would measure, and losses [factor, period, item] on validation and test."""
        groups, tests = self.cut.data.known_groups, {}

        def at(factor: float) -> np.ndarray:
            path.go_to(factor)
            tests[factor] = in_groups(sample_losses(model, self.cut.test), self.cut.test_groups)
            return sample_losses(model, self.cut.data.validation)

        found = search(at, groups, beyond)
        validation = [in_groups(losses, groups) for losses in found.values()]
        return {"factors": list(found), "validation": validation, "test": [tests[factor] for factor in found]}

    def _measured(self, model: nn.Module) -> dict[str, Any]:
        """Return losses [period, item] on validation and test."""
        data = self.cut.data
        return {
            "validation": in_groups(sample_losses(model, data.validation), data.known_groups),
            "test": in_groups(sample_losses(model, self.cut.test), self.cut.test_groups),
        }


def in_groups(losses: np.ndarray, groups: SampleGroups) -> list[list[float | None]]:
    """Return the mean losses [periods, items] of windows [S]; None where there is no window."""
    shape = int(groups.periods.max()) + 1, int(groups.items.max()) + 1
    place = groups.periods * shape[1] + groups.items
    counts = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(place, weights=losses, minlength=shape[0] * shape[1]).reshape(shape)
    means = np.round(sums / np.maximum(counts, 1), 6)
    return [
        [mean if count else None for mean, count in zip(*row, strict=True)]
        for row in zip(means.tolist(), counts.tolist(), strict=True)
    ]


def _selection(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is left open and how it was scored in the end."""
    selection = report.get("selection")
    if not selection:
        return None
    last = selection["rounds"][-1]
    return {
        "kept": selection["kept"],
        "kept_parameters": selection["kept_parameters"],
        "last_round": last,
        "rounds": len(selection["rounds"]),
        "seconds": selection["scoring_seconds"],
    }
