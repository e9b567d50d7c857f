"""Evidence on modules: scores of several rounds, their standard errors, and which differ from zero."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_USUAL_SIGNIFICANCE = 2.0  # standard errors from zero that a random score exceeds in about one case of twenty


@dataclass(frozen=True)
class Evidence:
    """Scores of modules and how sure they are.

    Attributes:
        scores: by name of the module.
        errors: standard errors; None where nothing is known about them.
    """

    scores: Mapping[str, float]
    errors: Mapping[str, float | None]

    def followed_by(self, present: "Evidence", ema: float, overlap: float) -> "Evidence":
        """Return the moving average, ``ema`` times this plus ``1 - ema`` times the ``present``, with standard errors.

        The errors of two rounds are correlated by the share ``overlap`` of validation data they have in common: an
        average over rounds on the same windows is no more certain than one of them.
        """
        new = 1 - ema
        scores = {name: ema * self.scores[name] + new * score for name, score in present.scores.items()}
        errors: dict[str, float | None] = {}
        for name in scores:
            past, error = self.errors[name], present.errors[name]
            if past is None or error is None:
                errors[name] = error if past is None else past
            else:
                errors[name] = math.sqrt(
                    (ema * past) ** 2 + (new * error) ** 2 + 2 * overlap * ema * new * past * error
                )
        return Evidence(scores, errors)

    def is_significant(self, name: str, significance: float) -> bool:
        """Return whether the score of ``name`` can be told from zero; True where its error is unknown."""
        error = self.errors[name]
        return error is None or abs(self.scores[name]) > significance * error

    def significant_share(self) -> float | None:
        """Return the share of the scores beyond two standard errors from zero; None where no error is known."""
        known = [name for name, error in self.errors.items() if error is not None]
        return sum(self.is_significant(name, _USUAL_SIGNIFICANCE) for name in known) / len(known) if known else None

    def worth(self, significance: float) -> dict[str, float]:
        """Return the scores to choose by: zero for those that cannot be told from it."""
        return {name: score if self.is_significant(name, significance) else 0.0 for name, score in self.scores.items()}

    def helpful(self, significance: float) -> tuple[str, ...]:
        """Return modules whose score is above zero and can be told from it."""
        return tuple(name for name, worth in self.worth(significance).items() if worth > 0)


def verdict(evidence: Evidence, significance: float, signed: bool, kept: Iterable[str]) -> str:
    """Return what the evidence says about a choice, in a sentence or two for the report.

    Args:
        evidence: of the last round.
        significance: standard errors that make a difference.
        signed: whether zero stands for a module that does nothing.
        kept: modules that stayed.
    """
    names = tuple(evidence.scores)
    known = [name for name in names if evidence.errors[name] is not None]
    if not signed or not known:
        return (
            "This score has no standard errors, or no zero to be told from: how much of its order is chance is unknown."
        )
    helpful = set(evidence.helpful(significance))
    harmful = [name for name in names if evidence.is_significant(name, significance) and evidence.scores[name] < 0]
    if not helpful and not harmful:
        return (
            f"None of the {len(names)} modules could be told from doing nothing ({significance:g} standard errors): "
            "what was kept is a guess, not a finding. More validation windows, more rounds or a longer training may "
            "tell them apart."
        )
    chosen = set(kept)
    return (
        f"{len(helpful)} of {len(names)} modules were shown to help and {len(harmful)} to harm, by more than "
        f"{significance:g} standard errors; the order of the other {len(names) - len(helpful) - len(harmful)} may be "
        f"noise. Of the {len(chosen)} that were kept {len(chosen & helpful)} were shown to help."
    )
