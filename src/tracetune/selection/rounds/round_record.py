"""The record of one round of selection."""

from dataclasses import asdict, dataclass, fields

from tracetune.base.json_types import JsonObject
from tracetune.selection.evidence import Evidence


@dataclass(frozen=True)
class RoundRecord:
    """Record of one round of selection, in JSON types; a run can continue from it.

    Attributes:
        step: optimizer step after which the round took place.
        scores: score of every module in this round.
        standard_errors: their standard errors; None where the score has none, or for a single read.
        smoothed: moving average of the scores, which the choice follows.
        smoothed_errors: their standard errors; None where nothing is known about them.
        told_apart: share of the smoothed scores that are more than 2 standard errors away from zero; None where no
            standard error is known.
        opened: modules that were closed before.
        closed: modules that were open before.
        open: modules that are open now.
        budget: number of modules or parameters that may be open now; in time, per mille of the step with all open.
        validation_loss: loss before the round, with the modules that were open then; None where nothing asked for it.
    """

    step: int
    scores: dict[str, float]
    standard_errors: dict[str, float | None]
    smoothed: dict[str, float]
    smoothed_errors: dict[str, float | None]
    told_apart: float | None
    opened: list[str]
    closed: list[str]
    open: list[str]
    budget: int
    validation_loss: float | None = None

    @property
    def evidence(self) -> Evidence:
        """Return the scores that the choice followed."""
        return Evidence(self.smoothed, self.smoothed_errors)

    def to_json(self) -> JsonObject:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: JsonObject) -> "RoundRecord":
        """Return the record that `to_json` wrote."""
        return cls(**{field.name: content[field.name] for field in fields(cls)})
