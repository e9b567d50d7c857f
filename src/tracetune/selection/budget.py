"""How much may stay open, counted in modules, in their parameters, or in the time of a training step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from tracetune.base.errors import InputError, argument

if TYPE_CHECKING:  # PyTorch comes with it
    from tracetune.selection.step_time_profile import StepTimeProfile

BudgetUnit = Literal["modules", "parameters", "time"]
UNITS: tuple[BudgetUnit, ...] = ("modules", "parameters", "time")
PER_MILLE = 1000


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
        _check_finite(scores)
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
        _check_finite(scores)
        chosen, left = [], amount
        for name in sorted(scores, key=lambda name: (-scores[name] / self.counts[name], *_cost(name, self.counts))):
            if self.counts[name] <= left:
                chosen.append(name)
                left -= self.counts[name]
        return _in_order(scores, chosen)

    def module_share(self, amount: int) -> float:
        """Return the share of the parameters that ``amount`` is."""
        return amount / self.full


class TimeBudget:
    """Counts the time of a training step, in per mille of the step with all modules open.

    Opens the modules with the highest sum of scores that fit, see `best_within_time`.
    """

    unit = "per mille of the step time"
    full = PER_MILLE

    def __init__(self, profile: StepTimeProfile) -> None:
        self.profile = profile
        self.least = min(PER_MILLE, math.ceil(PER_MILLE * profile.least / profile.full))

    def choose(self, scores: Mapping[str, float], amount: int) -> tuple[str, ...]:
        """Return modules whose step takes at most ``amount``, those with positive scores only, but one at least."""
        _check_finite(scores)
        from tracetune.selection.knapsack import best_within_time

        return best_within_time(scores, self.profile, amount / PER_MILLE)

    def module_share(self, amount: int) -> float:
        """Return the largest share of the modules that fits."""
        modules = self.profile.cost
        return len(self.choose(dict.fromkeys(modules, 1.0), amount)) / len(modules)


def budget_of(unit: BudgetUnit, parameter_counts: Mapping[str, int], profile: StepTimeProfile | None = None) -> Budget:
    """Return the budget that counts in ``unit``.

    Raises:
        InputError: a budget in time without a profile.
    """
    if unit == "modules":
        return ModuleBudget(parameter_counts)
    if unit == "parameters":
        return ParameterBudget(parameter_counts)
    if profile is None:
        raise InputError("A budget in time needs a step-time profile, found none. Pass measure_step_time(...).")
    return TimeBudget(profile)


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
            f"{amount}. A share of the model is a float such as 0.5."
        )
    return amount


def _check_finite(scores: Mapping[str, float]) -> None:
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
