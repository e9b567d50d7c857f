"""Never worse than what one started from: the best candidate on validation is what comes out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tracetune.base.errors import InputError


@dataclass(frozen=True)
class Candidate:
    """A model that could come out of fine-tuning.

    Attributes:
        name: what it is: "zero-shot", "head", or the method's name.
        validation_loss: mean loss over all validation windows.
    """

    name: str
    validation_loss: float


def best_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate with the lowest finite validation loss; the earlier one, which is simpler, wins a tie.

    Raises:
        InputError: no candidate has a finite loss.
    """
    finite = [candidate for candidate in candidates if math.isfinite(candidate.validation_loss)]
    if not finite:
        losses = ", ".join(f"{candidate.name}: {candidate.validation_loss}" for candidate in candidates)
        raise InputError(f"Expected a finite validation loss, found {losses}. Look for extreme values in the data.")
    return min(finite, key=lambda candidate: candidate.validation_loss)
