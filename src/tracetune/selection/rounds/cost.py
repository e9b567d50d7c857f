"""The cost of selection rounds, and how many rounds and batches a run can afford."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from tracetune.selection.rounds.schedule import Schedule

LEAST_ROUNDS = 3


@dataclass
class Spent:
    """Cost of the selection so far.

    Attributes:
        passes: forward passes over one validation batch; a backward pass counts as two.
        seconds: wall-clock time.
    """

    passes: float = 0.0
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def to_json(self) -> dict[str, float]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, float]) -> "Spent":
        """Return the cost that `to_json` wrote; zero where nothing was written."""
        return cls(content.get("passes", 0.0), content.get("seconds", 0.0))


@dataclass(frozen=True)
class SelectionCost:
    """Cost of selection in forward passes over one validation batch; a backward pass counts as two.

    Attributes:
        once: whatever the rounds.
        each: of one batch in one round.
        last: of one batch when training ends.
        beside: of one round, whatever its batches.
    """

    once: float
    each: float
    last: float
    beside: float = 0.0

    def total(self, rounds: int, batches: int) -> float:
        """Return the cost of this many rounds over this many batches."""
        return self.once + rounds * self.beside + (rounds * self.each + self.last) * batches


@dataclass(frozen=True)
class SelectionPlan:
    """Rounds and batches that a run can afford.

    Attributes:
        schedule: when rounds are.
        batches: validation batches of each round.
        passes: cost of the whole selection, in forward passes over one validation batch.
    """

    schedule: Schedule
    batches: int
    passes: float

    @property
    def reads(self) -> int:
        """Return the batches that all rounds read together."""
        return len(self.schedule.rounds()) * self.batches


def affordable(
    schedule: Schedule,
    batches: int,
    cost: SelectionCost,
    allowed: float,
    least_evidence: int = 1,
    most: float = math.inf,
) -> SelectionPlan:
    """Return the rounds asked for where they cost at most ``allowed`` passes, otherwise fewer of them.

    First rounds come less often, until there are 3 (or as few as asked for); the first and the last stay where they
    are. Then each reads fewer batches. All rounds together read ``least_evidence`` batches even if that costs more than
    allowed, as long as it costs no more than ``most``. One batch in each of 3 rounds is read whatever it costs.

    Args:
        schedule: the rounds asked for.
        batches: batches of a round asked for.
        cost: what they cost.
        allowed: forward passes over a validation batch; infinity for no limit.
        least_evidence: batches that all rounds together read, as far as so many are asked for.
        most: what may be spent on that, in forward passes over a validation batch.
    """
    plan = _within(allowed, schedule, batches, cost, least_evidence)
    limit = max(allowed, most)
    return plan if plan.passes <= limit else _within(limit, schedule, batches, cost, 1)


def _within(
    allowed: float, schedule: Schedule, batches: int, cost: SelectionCost, least_evidence: int
) -> SelectionPlan:
    """Return what costs at most ``allowed`` passes, or what reads ``least_evidence`` batches and 3 rounds."""
    rounds = len(schedule.rounds())
    if cost.each == 0 or cost.total(rounds, batches) <= allowed:
        return SelectionPlan(schedule, batches, cost.total(rounds, batches))
    evidence = min(least_evidence, rounds * batches)
    if rounds > LEAST_ROUNDS:
        most = math.floor((allowed - cost.once - cost.last * batches) / (cost.each * batches + cost.beside))
        schedule = _spaced(schedule, max(LEAST_ROUNDS, most), math.ceil(evidence / batches))
        rounds = len(schedule.rounds())
    most = math.floor((allowed - cost.once - rounds * cost.beside) / (rounds * cost.each + cost.last))
    batches = min(batches, max(1, most, math.ceil(evidence / rounds)))
    return SelectionPlan(schedule, batches, cost.total(rounds, batches))


def _spaced(schedule: Schedule, most: int, least: int) -> Schedule:
    """Return the schedule with at most ``most`` and at least ``least`` rounds, as close together as that allows."""
    interval = schedule.interval
    for candidate in range(schedule.interval, schedule.stop - schedule.start + 1):
        rounds = len(replace(schedule, interval=candidate).rounds())
        if rounds < least:
            break
        interval = candidate
        if rounds <= most:
            break
    return replace(schedule, interval=interval)
