"""A budget for what stays open, counted in the time of a training step."""

import math
from collections.abc import Mapping

from tracetune.selection.budgets.budget import check_finite
from tracetune.selection.budgets.knapsack import best_within_time
from tracetune.selection.budgets.step_time_profile import StepTimeProfile

PER_MILLE = 1000


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
        check_finite(scores)
        return best_within_time(scores, self.profile, amount / PER_MILLE)

    def module_share(self, amount: int) -> float:
        """Return the largest share of the modules that fits."""
        modules = self.profile.cost
        return len(self.choose(dict.fromkeys(modules, 1.0), amount)) / len(modules)
