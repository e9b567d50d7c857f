"""Budgets for what stays open, counted in modules or in their parameters (in time: time_budget.py)."""

import math
from collections.abc import Mapping
from typing import Literal, Protocol, get_args

from tracetune.base.errors import InputError, argument

BudgetUnit = Literal["modules", "parameters", "time"]
UNITS: tuple[BudgetUnit, ...] = get_args(BudgetUnit)


class Budget(Protocol):
    """A way to count what is open, and to choose within an amount of it."""

    @property
    def unit(self) -> str:
        """Return what amounts count, for messages."""

    @property
    def least(self) -> int:
        """Return the amount of the module that takes the least."""

    @property
    def full(self) -> int:
        """Return the amount of all modules."""

    def choose(self, scores: Mapping[str, float], amount: int) -> tuple[str, ...]:
        """Return names of the modules to open, in the order of ``scores``.

        Raises:
            InputError: a score is not finite.
        """

    def module_share(self, amount: int) -> float:
        """Return the share of the modules that stays open within ``amount``, before any score is known."""


class ModuleBudget:
    """Counts modules, and opens those with the highest scores; ties go to fewer parameters, then to later blocks."""

    unit = "modules"
    least = 1

    def __init__(self, parameter_counts: Mapping[str, int]) -> None:
        self.counts = dict(parameter_counts)
        self.full = len(self.counts)

    def choose(self, scores: Mapping[str, float], amount: int) -> tuple[str, ...]:
        """Return the ``amount`` modules with the highest scores."""
        check_finite(scores)
        ranked = sorted(scores, key=lambda name: (-scores[name], *_cost(name, self.counts)))
        return _in_order(scores, ranked[:amount])

    def module_share(self, amount: int) -> float:
        """Return the share of the modules that ``amount`` is."""
        return amount / self.full


class ParameterBudget:
    """Counts parameters, and opens by score per parameter each module that still fits; ties as for modules."""

    unit = "parameters"

    def __init__(self, parameter_counts: Mapping[str, int]) -> None:
        self.counts = dict(parameter_counts)
        self.least = min(self.counts.values())
        self.full = sum(self.counts.values())

    def choose(self, scores: Mapping[str, float], amount: int) -> tuple[str, ...]:
        """Return modules of at most ``amount`` parameters in sum."""
        check_finite(scores)
        chosen, left = [], amount
        for name in sorted(scores, key=lambda name: (-scores[name] / self.counts[name], *_cost(name, self.counts))):
            if self.counts[name] <= left:
                chosen.append(name)
                left -= self.counts[name]
        return _in_order(scores, chosen)

    def module_share(self, amount: int) -> float:
        """Return the share of the parameters that ``amount`` is."""
        return amount / self.full


def budget_of(unit: BudgetUnit, parameter_counts: Mapping[str, int]) -> Budget:
    """Return the budget that counts in modules or in parameters.

    Raises:
        InputError: a budget in time, which is a `TimeBudget` by measured step times.
    """
    if unit == "modules":
        return ModuleBudget(parameter_counts)
    if unit == "parameters":
        return ParameterBudget(parameter_counts)
    raise InputError("A budget in time goes by measured step times: use TimeBudget(measure_step_time(...)).")


def amount_of(keep: float | int, budget: Budget) -> int:
    """Return what ``keep`` amounts to: a share (float) of all, or a number (int).

    A share that no module fits into is raised to what one takes.

    Raises:
        InputError: more than there is, or a number that no module fits into.
    """
    amount = max(budget.least, round(keep * budget.full)) if isinstance(keep, float) else int(keep)
    if not budget.least <= amount <= budget.full:
        raise InputError(
            f"Expected {argument('keep')} between {budget.least} and {budget.full} {budget.unit} in this model, found "
            f"{amount}. A share of the model is written with a point, such as 0.5."
        )
    return amount


def check_finite(scores: Mapping[str, float]) -> None:
    """Refuse scores that are NaN or infinite."""
    for name, score in scores.items():
        if not math.isfinite(score):
            raise InputError(
                f"Expected finite scores, found {score} for {name!r}. Look for extreme values in the data."
            )


def _cost(name: str, counts: Mapping[str, int]) -> tuple[int, int]:
    """Return the sort key of modules with equal scores: fewer parameters first, then later blocks."""
    from tracetune.selection.layers import module_place

    return counts[name], -module_place(name).depth


def _in_order(scores: Mapping[str, float], chosen: list[str]) -> tuple[str, ...]:
    opened = set(chosen)
    return tuple(name for name in scores if name in opened)
