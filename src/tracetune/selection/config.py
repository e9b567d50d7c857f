"""Configuration of TRACE: which modules it keeps, and how it finds them; importable without PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument, either, unknown_name
from tracetune.selection.budgets.budget import UNITS, Budget, BudgetUnit, amount_of, budget_of
from tracetune.selection.rounds.schedule import Schedule

AUTO = "auto"
WITHOUT_FLAG = frozenset(
    {
        "least_evidence", "significance", "ties", "masks", "n_masks", "scoring_batches", "batch_size", "smallest_share",
        "delete_closed",
    }
)  # fmt: skip
"""Settings that Python alone sets: on the command line a message must not advise a flag for them."""


@checked_fields
@dataclass(frozen=True)
class SelectionConfig:
    """Configuration of a selection: what to keep, and how to find it.

    Wherever both make sense, a ``float`` is a share (of the modules, or of the training steps) and an ``int`` a number.

    >>> from tracetune.selection.budgets.budget import budget_of
    >>> budget = budget_of("modules", {f"layer{number}": 100 for number in range(12)})
    >>> schedule = SelectionConfig(keep=3, warmup_steps=10, final_step=50, interval=10).schedule(80, budget)
    >>> {step: schedule.budget(step) for step in schedule.rounds()}
    {10: 12, 20: 7, 30: 5, 40: 4, 50: 3}

    Attributes:
        keep: what stays open: a share in (0, 1], a number, or "auto", which goes down to ``smallest_share`` and
            then returns to the budget on the way with the lowest validation loss, without the modules that were not
            shown to help if it is no worse without them.
        budget_unit: what ``keep`` counts: modules, their parameters (then modules are chosen by score per parameter),
            or the "time" of a training step, of which it is a share (then the best sum of scores that fits is chosen,
            by a measured profile, see selection/budgets/step_time.py).
        warmup_steps: t_i; until then every module is open.
        final_step: t_f; from then on the choice is final.
        interval: steps between two rounds of scoring.
        cost_share: what selection may cost, as a share of the forward and backward passes of the run's own training.
            Where ``interval`` and ``scoring_batches`` would cost more, rounds come less often, down to 3, and then
            read fewer batches, but never fewer than ``least_evidence`` asks for. 1 or more: no limit.
        least_evidence: validation batches that all rounds together read, whatever ``cost_share`` says (as far as
            ``interval`` and ``scoring_batches`` ask for so many), as long as selection costs no more than twice the
            training. What is read at the least are 3 rounds of one batch.
        ema: weight of the past in the smoothed scores; 0 takes each round as it is.
        significance: standard errors by which a smoothed score has to differ from zero to say that a module helps or
            harms: in the record, and for what ``keep="auto"`` closes.
        ties: standard errors within which scores count as zero in a choice, and such modules go by cost: fewer
            parameters, then later blocks, first. 0 takes every score as it is: the best guess, though it may be noise.
        score: name in ``SCORES``.
        context: context of "gated_dsic": "budget" or "shapley".
        masks: masks of "gated_dsic": "auto", "per_sample" or "per_batch".
        n_masks: masks per batch where they are per batch; at least 2.
        scoring_batches: validation batches per round, others in each, drawn from all over; None takes all. Fewer where
            ``cost_share`` says so.
        batch_size: samples per validation batch where the validation data are a data set.
        smallest_share: lowest budget that ``keep="auto"`` tries.
        seed: fixes the masks; every round draws its own.
        delete_closed: take the closed modules out of the model when training ends.
    """

    keep: float | int | str = 0.5
    budget_unit: BudgetUnit = "modules"
    warmup_steps: float | int = 0.1
    final_step: float | int = 0.6
    interval: float | int = 0.05
    cost_share: float = 0.05
    least_evidence: int = 12
    ema: float = 0.5
    significance: float = 2.0
    ties: float = 0.0
    score: str = "gated_dsic"
    context: str = "budget"
    masks: str = "auto"
    n_masks: int = 8
    scoring_batches: int | None = 4
    batch_size: int = 64
    smallest_share: float = 0.1
    seed: int = 0
    delete_closed: bool = True

    def __post_init__(self) -> None:
        self._check_steps()
        self._check_numbers()
        self._check_choices()

    def _check_steps(self) -> None:
        if self.keep != AUTO:
            _check_amount("keep", self.keep, "'auto', a share in (0, 1] or a number of at least 1")
        for name in ("final_step", "interval"):
            _check_amount(name, getattr(self, name), "a share of the steps in (0, 1] or a number of at least 1")
        if self.budget_unit == "time" and isinstance(self.keep, int):
            raise InputError(
                f"Expected {argument('keep')} to be a share such as 0.5 with {argument('budget_unit', 'time')}, found "
                f"{self.keep!r}. It is the share of a training step's time with all modules open (1.0: all of it)."
            )
        if self.warmup_steps != 0:
            _check_amount("warmup_steps", self.warmup_steps, "0, a share of the steps in (0, 1] or a number")
        if type(self.warmup_steps) is type(self.final_step) and self.warmup_steps > self.final_step:
            raise _out_of_order(self.warmup_steps, self.final_step)

    def _check_numbers(self) -> None:
        if not self.cost_share > 0:
            raise InputError(
                f"Expected {argument('cost_share')} above 0, such as 0.05 (1 or more: no limit), found "
                f"{self.cost_share!r}."
            )
        if not 0 <= self.ema < 1:
            raise InputError(f"Expected {argument('ema')} in [0, 1), found {self.ema!r}.")
        if not 0 < self.smallest_share <= 1:
            raise InputError(f"Expected {_called('smallest_share')} in (0, 1], found {self.smallest_share!r}.")
        for name in ("significance", "ties"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"Expected {_called(name)} of 0 or more standard errors, found {getattr(self, name)!r}."
                )
        for name in ("batch_size", "scoring_batches", "least_evidence"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"Expected {_called(name)} of at least 1, found {value!r}.")

    def _check_choices(self) -> None:
        # With PyTorch, which is not needed to know the defaults.
        from tracetune.selection.estimates.gate_masks import CONTEXTS, LEAST_MASKS, MASKS
        from tracetune.selection.scores.score import SCORES

        if self.n_masks < LEAST_MASKS:
            raise InputError(
                f"Expected {_called('n_masks')} of at least {LEAST_MASKS}, found {self.n_masks!r}: fewer masks per "
                "batch cannot see every module both open and closed."
            )
        choices = {"budget_unit": UNITS, "score": tuple(SCORES), "context": CONTEXTS, "masks": MASKS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(_called(name), str(getattr(self, name)), known)

    def check(self, total_steps: int, parameter_counts: Mapping[str, int]) -> None:
        """Refuse what fits neither a run of ``total_steps`` nor its modules, as far as it is known before training.

        Raises:
            InputError: see `schedule`; a share of time always fits.
        """
        unit = "modules" if self.budget_unit == "time" else self.budget_unit
        self.schedule(total_steps, budget_of(unit, parameter_counts))

    def context_share(self, final: float) -> float:
        """Return q, the share of open modules that scores presume: the final, for "auto" the middle of its range."""
        return (1 + final) / 2 if self.keep == AUTO else final

    def last_round(self, total_steps: int) -> int:
        """Return the step t_f of a run of ``total_steps``, after which the choice is final."""
        return max(1, _steps(self.final_step, total_steps))

    def schedule(self, total_steps: int, budget: Budget) -> Schedule:
        """Return the schedule of a run of ``total_steps`` within ``budget``.

        Raises:
            InputError: steps out of order or beyond the run, or a ``keep`` that is too large or fits no module.
        """
        start, stop = _steps(self.warmup_steps, total_steps), self.last_round(total_steps)
        if not start <= stop <= total_steps:
            raise _out_of_order(start, stop, total_steps)
        final = amount_of(float(self.smallest_share) if isinstance(self.keep, str) else self.keep, budget)
        return Schedule(start, stop, max(1, _steps(self.interval, total_steps)), budget.full, final)


def _called(name: str) -> str:
    """Return a setting as a message names it."""
    return either(name, name.replace("_", " ")) if name in WITHOUT_FLAG else argument(name)


def _check_amount(name: str, value: float | int | str, expected: str) -> None:
    if isinstance(value, str) or not (0 < value <= 1 if isinstance(value, float) else value >= 1):
        raise InputError(f"Expected {argument(name)} to be {expected}, found {value!r}.")


def _steps(value: float | int, total: int) -> int:
    return round(value * total) if isinstance(value, float) else value


def _out_of_order(start: float, stop: float, total: int | None = None) -> InputError:
    end = "" if total is None else f" <= {total} training steps"
    return InputError(
        f"Expected {argument('warmup_steps')} <= {argument('final_step')}{end}, found {start} and {stop}. "
        "Lower them, or give shares such as 0.6."
    )
