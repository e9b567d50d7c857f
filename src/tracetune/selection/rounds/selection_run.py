"""TRACE's selection during a training: after its steps, score modules, and open and close them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, replace

from tracetune.base.errors import InputError, Remark, argument
from tracetune.base.json_types import JsonObject
from tracetune.base.step_files import StepFiles
from tracetune.selection.budgets.budget import Budget, budget_of
from tracetune.selection.budgets.step_time import measure_step_time, profile_passes
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.budgets.time_budget import TimeBudget
from tracetune.selection.config import AUTO, SelectionConfig
from tracetune.selection.evidence import verdict
from tracetune.selection.gates import Gates, check_base_weights, check_deletable
from tracetune.selection.passes import FORWARD, FORWARD_BACKWARD
from tracetune.selection.rounds.auto_keep import AutoKeep, shown_to_help
from tracetune.selection.rounds.compilation import RecompileLimits
from tracetune.selection.rounds.cost import Spent
from tracetune.selection.rounds.plan import ScoringPlan, passes_for_masks, plan_rounds
from tracetune.selection.rounds.preconditions import check_wrapper
from tracetune.selection.rounds.round_record import RoundRecord
from tracetune.selection.rounds.schedule import Schedule
from tracetune.selection.rounds.selection_round import selection_round, shared_profile
from tracetune.selection.rounds.validation_batches import ScoringBatches
from tracetune.selection.scores.score import find_score
from tracetune.selection.validation import (
    AnyBatch,
    LossFunction,
    batch_size,
    model_loss,
    on_device,
    undisturbed,
)

logger = logging.getLogger(__name__)

ROUND, BEGIN, PLAN, SPENT = "trace", "trace_begin", "trace_plan", "trace_spent"
"""Keys of what a run logs, and reads again where it is resumed."""

LogEntry = JsonObject
"""Entry of a run's log, by these keys."""


class SelectionRun:
    """The selection of one training, from its first step to its last.

    Call `after_step` after every optimizer step and `finish` after the last one, or `close` where training ends by an
    exception. What a later process needs to go on is in the entries given to ``log``; the best models of
    ``keep="auto"`` are in ``files``.

    Args:
        config: how to select.
        gates: gates of the model in training, all of them open.
        batches: validation batches.
        loss_fn: from model and batch to losses [B] of the samples, or to their mean.
        total_steps: optimizer steps of the whole training.
        samples_per_step: samples of one optimizer step, over all processes.
        precision: makes a context with the precision of training, such as autocast.
        log: takes each entry, a mapping of JSON types.
        past: entries that an interrupted run has logged, to go on from there.
        files: where best models are kept for a run that goes on; None keeps them in memory alone.

    Attributes:
        records: one RoundRecord per round of the whole run, resumed or not.
        spent: cost of selection in the whole run, resumed or not.

    Raises:
        InputError: a schedule or budget that does not fit, ``past`` of a run with other settings or modules, or a model
            whose modules could not be closed or deleted in the end (selection/rounds/preconditions.py).
    """

    def __init__(
        self,
        config: SelectionConfig,
        gates: Gates,
        batches: ScoringBatches,
        loss_fn: LossFunction = model_loss,
        *,
        total_steps: int,
        samples_per_step: int,
        precision: Callable[[], AbstractContextManager[object]] = nullcontext,
        log: Callable[[LogEntry], None] = lambda entry: None,
        past: Sequence[LogEntry] = (),
        files: StepFiles | None = None,
    ) -> None:
        _check_model(config, gates)
        self.config = config
        self.gates = gates
        self.records = [RoundRecord.from_json(entry[ROUND]) for entry in past if ROUND in entry]
        self.spent = Spent.from_json(_last(past, SPENT))
        self._batches = batches
        self._loss_fn = loss_fn
        self._precision = precision
        self._log = log
        self._training = FORWARD_BACKWARD * total_steps * samples_per_step
        self._parameters = gates.parameter_counts()
        self.budget = self._begin(_last(past, BEGIN))
        self._asked = config.schedule(total_steps, self.budget)
        self._plan = ScoringPlan.from_json(_last(past, PLAN)) if _last(past, PLAN) else None
        self._auto = AutoKeep(gates, loss_fn, precision, files)
        self._limits = RecompileLimits()
        if self.records:
            self._go_on()

    @property
    def schedule(self) -> Schedule:
        """Return when rounds are: as asked for, and as can be afforded from the first round on."""
        return self._asked if self._plan is None else self._plan.schedule

    def after_step(self, step: int) -> RoundRecord | None:
        """Score and choose where the schedule has a round, and return its record."""
        if step < self._asked.start:
            return None
        with self._closed_on_error():
            plan = self._planned()
            return self._round(plan, step, plan.schedule.budget(step)) if plan.schedule.is_round(step) else None

    def finish(self, step: int) -> None:
        """Come down to the final budget, or back to the best model, delete what is closed, and `close`."""
        with closing(self):
            self._come_down(step)

    def close(self) -> None:
        """Give back what the run changed outside of the model: the limits of torch.compile.

        A training that ends without `finish`, by an exception of its own, has to call it.
        """
        self._limits.restore()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _come_down(self, step: int) -> None:
        plan = self._planned()
        if self.config.keep == AUTO:
            with self.spent.timed():
                self._offer(plan, step)
                self._auto.restore()
                self._close_what_does_not_help(plan)
        elif not self.records or self.records[-1].budget > plan.schedule.final:
            self._round(plan, step, plan.schedule.final)
        if self.records and self.records[-1].told_apart == 0:
            logger.warning("%s", self._verdict(self.gates.open_names))
        if self.config.delete_closed:
            self.gates.delete_closed()

    def report(self) -> JsonObject:
        """Return configuration, rounds, kept modules and cost as JSON types."""
        kept = self.gates.open_names
        profile = self.budget.profile if isinstance(self.budget, TimeBudget) else None
        return {
            "config": asdict(self.config),
            "schedule": asdict(self.schedule),
            "scoring_batches": None if self._plan is None else self._plan.batches,
            "cost_share": 0.0 if self._plan is None else self._plan.share,
            "parameters": self._parameters,
            "kept": list(kept),
            "kept_parameters": sum(self._parameters[name] for name in kept),
            "step_time_share": None if profile is None else profile.seconds(kept) / profile.full,
            "step_time_profile": None if profile is None else profile.to_json(),
            "evidence": self._verdict(kept),
            "best_step": self._auto.best_step if self.config.keep == AUTO else None,
            "scoring_seconds": self.spent.seconds,
            "forward_equivalents": self.spent.passes,
            "rounds": [record.to_json() for record in self.records],
        }

    def keep_best_models(self, checkpoints: Sequence[int], running: bool = True) -> None:
        """Remove the best models that no checkpoint of these steps needs, nor the run while it is ``running``."""
        self._auto.keep_files(self.records, checkpoints, running)

    def _begin(self, begun: LogEntry) -> Budget:
        """Return the budget, by the step times that the first process measured, and log settings and times once."""
        _check_same_run(begun, self.config, self._parameters)
        profile = None
        if self.config.budget_unit == "time":
            profile = StepTimeProfile.from_json(begun["profile"]) if begun else self._step_times()
            self._say_where_time_is_too_short(profile)
        if not begun:
            times = None if profile is None else profile.to_json()
            settings = {"config": asdict(self.config), "parameters": self._parameters, "profile": times}
            self._log({BEGIN: settings, SPENT: self.spent.to_json()})
        return budget_of(self.config.budget_unit, self._parameters) if profile is None else TimeBudget(profile)

    def _go_on(self) -> None:
        """Open what the last round opened, and take up the best model so far."""
        self.gates.set_open(self.records[-1].open)
        self._auto.go_on(self.records)
        self._limits.make_room()

    def _planned(self) -> ScoringPlan:
        """Return the plan of the rounds, made before the first one and logged.

        It cannot be made earlier: untrained adapters add nothing, so that masks cannot be compared.
        """
        if self._plan is None:
            with self.spent.timed(), self._precision():
                self._plan = plan_rounds(
                    self.config,
                    self._asked,
                    self.gates,
                    self._batches,
                    self._loss_fn,
                    training=self._training,
                )
            self.spent.passes += passes_for_masks(self.config)
            self._log({PLAN: self._plan.to_json(), SPENT: self.spent.to_json()})
        return self._plan

    def _round(self, plan: ScoringPlan, step: int, amount: int) -> RoundRecord:
        with self.spent.timed():
            loss = self._offer(plan, step) if self.config.keep == AUTO else None
            with self._precision():
                record, importance = selection_round(
                    self.gates,
                    self._batches.draw(plan.batches, (self.config.seed, step)),
                    self._loss_fn,
                    replace(self.config, masks=plan.masks),
                    self.budget,
                    amount=amount,
                    final=plan.schedule.final,
                    step=step,
                    previous=self.records[-1] if self.records else None,
                    overlap=self._batches.overlap(plan.batches),
                    validation_loss=loss,
                )
        self.spent.passes += importance.forward_equivalents
        self._limits.make_room()
        self.records.append(record)
        self._log({ROUND: record.to_json(), SPENT: self.spent.to_json()})
        return record

    def _close_what_does_not_help(self, plan: ScoringPlan) -> None:
        """Close the modules of the best model that were not shown to help, unless it is worse without them."""
        if not (self.records and find_score(self.config.score).signed):
            return
        opened = self.gates.open_names
        helpful = shown_to_help(self.records[-1].evidence, opened, self.config.significance)
        if 0 < len(helpful) < len(opened):
            self._auto.close_all_but(helpful, self._measured(plan))
            self.spent.passes += 2 * FORWARD * plan.batches

    def _offer(self, plan: ScoringPlan, step: int) -> float:
        """Let the model as it is compete; returns its validation loss."""
        self.spent.passes += FORWARD * plan.batches
        return self._auto.offer(self._measured(plan), step)

    def _measured(self, plan: ScoringPlan) -> Iterable[AnyBatch]:
        """Return the batches that all competing models are measured on."""
        return self._batches.draw(plan.batches, self.config.seed)

    def _verdict(self, kept: Sequence[str]) -> str | None:
        if not self.records:
            return None
        signed = find_score(self.config.score).signed
        return verdict(self.records[-1].evidence, self.config.significance, signed, kept)

    def _step_times(self) -> StepTimeProfile:
        with self.spent.timed(), self._precision(), undisturbed(self.gates.model):
            batch = next(on_device(self.gates.model, self._batches))
            profile = shared_profile(measure_step_time(self.gates, batch, self._loss_fn))
        self.spent.passes += profile_passes(self._parameters, batch_size(batch), self.gates.device)
        return profile

    def _say_where_time_is_too_short(self, profile: StepTimeProfile) -> None:
        keep = self.config.keep
        if isinstance(keep, float) and keep * profile.full < profile.least:
            logger.warning(
                Remark(
                    f"{argument('keep', keep)} leaves less time than any one module takes: the fastest takes "
                    f"{profile.least / profile.full:.2f} of the step with all modules open, and is what will stay."
                )
            )


def _check_model(config: SelectionConfig, gates: Gates) -> None:
    """Refuse what the last step, or one on the way, would refuse."""
    check_wrapper(gates.model)
    check_base_weights(gates.model)
    if config.delete_closed:
        check_deletable(gates.model, gates.layers)


def _last(entries: Sequence[LogEntry], key: str) -> LogEntry:
    """Return the newest entry under ``key``; empty where there is none."""
    return next((entry[key] for entry in reversed(entries) if key in entry), {})


def _check_same_run(begun: LogEntry, config: SelectionConfig, parameters: Mapping[str, int]) -> None:
    """Refuse to go on with other settings or modules than the run began with."""
    if not begun:
        return
    before, now = begun["config"], asdict(config)
    differing = [
        f"{name} {before.get(name)!r} there, {value!r} here" for name, value in now.items() if before.get(name) != value
    ]
    if begun["parameters"] != parameters:
        differing.append(f"{len(begun['parameters'])} LoRA modules there, {len(parameters)} here, or of other sizes")
    if differing:
        raise InputError(
            f"The run to go on with selects by other settings: {'; '.join(differing)}. "
            "Give the settings that it began with, or start anew in another folder."
        )
