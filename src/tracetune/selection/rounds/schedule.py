"""The schedule of a selection: how much stays open at which step, a pure function of the step.

TRACE (arXiv 2503.16991), and AdaLoRA (Zhang et al. 2023, equation 12):

    n(t) = n_end + (n_all - n_end) * (1 - (t - t_i) / (t_f - t_i))^3      for t_i <= t <= t_f

n_all before t_i, n_end after t_f.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A schedule in steps and in units of the budget.

    Attributes:
        start: t_i.
        stop: t_f.
        interval: steps between two rounds.
        full: budget with every module open; budgets in time are in per mille of that step.
        final: budget from t_f on.
    """

    start: int
    stop: int
    interval: int
    full: int
    final: int

    def is_round(self, step: int) -> bool:
        """Return whether modules are scored and chosen after this step: every ``interval`` from t_i on, and at t_f."""
        return self.start <= step <= self.stop and ((step - self.start) % self.interval == 0 or step == self.stop)

    def rounds(self) -> tuple[int, ...]:
        """Return the steps after which there is a round."""
        first = self.start if self.start else self.interval
        return tuple(sorted({*range(first, self.stop, self.interval), self.stop}))

    def budget(self, step: int) -> int:
        """Return the budget after this step."""
        return budget_at(step, self.start, self.stop, self.full, self.final)


def budget_at(step: int, start: int, stop: int, full: int, final: int) -> int:
    """Return n(t) of the cubic schedule, rounded up: ``full`` at ``start`` (t_i), ``final`` at ``stop`` (t_f)."""
    if step >= stop:
        return final
    if step <= start:
        return full
    left = 1 - (step - start) / (stop - start)
    return min(full, final + math.ceil((full - final) * left**3))
