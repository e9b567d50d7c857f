"""Models that could come out of a fit, each measured once on validation: never worse than what one started from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from tracetune.base.errors import InputError
from tracetune.data.windows import BatchSource
from tracetune.training.measure import sample_losses

ZERO_SHOT, HEAD, BEST = "zero-shot", "head", "best"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that could come out of a fit.

    Attributes:
        name: "zero-shot", "head", or the method's name.
        model: the model itself, a task model or one that PEFT has wrapped.
        losses: [samples] validation loss of each sample.
    """

    name: str
    model: nn.Module
    losses: np.ndarray

    @property
    def validation_loss(self) -> float:
        """Mean loss over all validation samples."""
        return float(self.losses.mean())


class Candidates:
    """Models side by side, from the simplest to the most trained, on the same validation samples.

    Args:
        validation: the samples that choose.
    """

    def __init__(self, validation: BatchSource) -> None:
        self.validation = validation
        self._all: list[Candidate] = []

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all)

    def add(self, name: str, model: nn.Module, losses: np.ndarray | None = None) -> None:
        """Measure a model and let it compete; ``losses`` are given where they are known already."""
        self._all.append(Candidate(name, model, sample_losses(model, self.validation) if losses is None else losses))

    def best(self) -> Candidate:
        """Return the candidate with the lowest finite validation loss; the earlier one, which is simpler, wins a tie.

        Raises:
            InputError: no candidate has a finite loss.
        """
        finite = [candidate for candidate in self._all if math.isfinite(candidate.validation_loss)]
        if not finite:
            losses = ", ".join(f"{candidate.name}: {candidate.validation_loss}" for candidate in self._all)
            raise InputError(f"Expected a finite validation loss, found {losses}. Look for extreme values in the data.")
        return min(finite, key=lambda candidate: candidate.validation_loss)

    def named(self, name: str) -> Candidate:
        """Return the candidate with this name; "best" is the best of all so far.

        Raises:
            InputError: there is none: the task has no such start.
        """
        if name == BEST:
            return self.best()
        found = [candidate for candidate in self._all if candidate.name == name]
        if not found:
            names = ", ".join(repr(candidate.name) for candidate in self._all)
            raise InputError(f"Expected a start among {names}, found {name!r}: this task has no such model.")
        return found[0]
