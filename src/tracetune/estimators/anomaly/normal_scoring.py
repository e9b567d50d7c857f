"""How a normal part is scored, and how rare false alarms are to be."""

from dataclasses import dataclass

from tracetune.base.errors import InputError, argument, unknown_name
from tracetune.evaluation.anomaly.normal_scores import require_false_alarm_rate
from tracetune.tasks.anomaly.scores.scorer import SCORERS, Scorer, scorer_named


@dataclass(frozen=True)
class NormalScoring:
    """How a normal part is scored.

    Attributes:
        scorer: what scores.
        contamination: share of the steps that may be anomalous all the same.
        false_alarm_rate: share of normal steps that may raise an alarm.

    Raises:
        InputError: an unknown scorer, or a share or rate outside its range.
    """

    scorer: Scorer
    contamination: float
    false_alarm_rate: float

    def __post_init__(self) -> None:
        if self.scorer.name not in SCORERS:
            raise unknown_name("scorer", self.scorer.name, SCORERS)
        if not 0 <= self.contamination < 0.5:
            raise InputError(
                f"Expected {argument('contamination')} of at least 0 and below 0.5, found {self.contamination}."
            )
        require_false_alarm_rate(self.false_alarm_rate)

    @classmethod
    def of(cls, scorer: Scorer | str, contamination: float, false_alarm_rate: float) -> "NormalScoring":
        """Return it for a scorer, or for the one with this name and its default options."""
        return cls(scorer_named(scorer) if isinstance(scorer, str) else scorer, contamination, false_alarm_rate)
