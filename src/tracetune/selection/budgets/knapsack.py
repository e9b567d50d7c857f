"""The modules with the highest scores within a given time of a training step.

For each possible lowest block: an exact 0/1 knapsack over the modules from there up, with capacity what the base
seconds of that block leave. Costs are counted in whole units, 1/10,000 of the step with all modules open, costs
rounded up and capacities down: a chosen set never takes longer than allowed. What rounding can lose is less than one
unit a chosen module.

Notation for shapes: M modules, U units.
"""

from collections.abc import Mapping

import numpy as np

from tracetune.base.errors import InputError
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.layers import module_place

UNITS = 10_000
_SLACK = 1e-9  # of a unit: whole numbers of units stay whole numbers


def best_within_time(scores: Mapping[str, float], profile: StepTimeProfile, share: float) -> tuple[str, ...]:
    """Return modules with the highest sum of scores whose step takes at most ``share`` of the step with all open.

    Only modules with positive scores are opened, but one at least: the best that fits, or the one that takes the
    least where none fits. Names come in the order of ``scores``; ties go to the deeper set, which takes less time.

    Raises:
        InputError: modules that are not those of the profile.
    """
    if scores.keys() - profile.cost.keys():
        raise InputError("Expected scores of the modules in the step-time profile, found others. Measure it again.")
    limit = share * profile.full
    worth = [name for name, score in scores.items() if score > 0]
    best: tuple[float, tuple[str, ...]] = (0.0, ())
    for block in sorted({module_place(name).depth for name in worth}, reverse=True):
        names = [name for name in worth if module_place(name).depth >= block]
        chosen = _knapsack(names, scores, profile, limit - profile.base[block])
        total = sum(scores[name] for name in chosen)
        if total > best[0]:
            best = (total, chosen)
    if best[1]:
        return tuple(name for name in scores if name in set(best[1]))
    return (_best_single(scores, profile, limit),)


def _knapsack(
    names: list[str], scores: Mapping[str, float], profile: StepTimeProfile, seconds: float
) -> tuple[str, ...]:
    """Return the names with the highest sum of positive scores and costs of at most ``seconds`` in sum."""
    unit = profile.full / UNITS
    room = int(np.floor(seconds / unit + _SLACK))
    if room < 0:
        return ()
    costs = [int(np.ceil(profile.cost[name] / unit - _SLACK)) for name in names]
    if sum(profile.cost[name] for name in names) <= seconds + _SLACK * unit:
        return tuple(names)
    totals = np.zeros(room + 1)  # [U]: the highest sum of scores at each capacity
    taken = np.zeros((len(names), room + 1), dtype=bool)  # [M, U]
    for index, (name, cost) in enumerate(zip(names, costs, strict=True)):
        if cost <= room:
            candidates = totals[: room + 1 - cost] + scores[name]
            taken[index, cost:] = candidates > totals[cost:]
            totals[cost:] = np.maximum(totals[cost:], candidates)
    return _traced_back(names, costs, taken)


def _traced_back(names: list[str], costs: list[int], taken: np.ndarray) -> tuple[str, ...]:
    chosen, room = [], taken.shape[1] - 1
    for index in reversed(range(len(names))):
        if taken[index, room]:
            chosen.append(names[index])
            room -= costs[index]
    return tuple(chosen)


def _best_single(scores: Mapping[str, float], profile: StepTimeProfile, limit: float) -> str:
    seconds = {name: profile.seconds([name]) for name in scores}
    fitting = [name for name in scores if seconds[name] <= limit * (1 + _SLACK)]
    if not fitting:
        return min(seconds, key=lambda name: seconds[name])
    return max(fitting, key=lambda name: (scores[name], -seconds[name]))
