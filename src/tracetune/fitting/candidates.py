"""Candidates of a fit, the simplest first: a model wins only if it is better than a simpler one beyond noise."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from tracetune.base.errors import InputError, argument
from tracetune.evaluation.periods import Difference, relative_gain
from tracetune.fitting.names import BEST
from tracetune.fitting.trained import Shrinkage
from tracetune.tasks.task import TrainingData
from tracetune.training.measure import sample_losses

_DOUBTFUL = 2.0  # times the margin: of a model that was not moved back, and of an error that is itself a guess
_FEWEST_GROUPS = 4  # periods of items from which a spread can be told


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that a fit may return.

    Attributes:
        name: "zero-shot", "head", or the method's name.
        model: a task model or one that PEFT has wrapped; None once it was released.
        losses: [samples] validation loss of each sample.
        shrinkage: how far it was moved back to its start; None where it was not.
        is_baseline: whether it is there to be compared with: nothing trains on from it.
        refused: whether it loses whatever its loss: it could not be made again.
    """

    name: str
    model: nn.Module | None
    losses: np.ndarray
    shrinkage: Shrinkage | None = None
    is_baseline: bool = False
    refused: bool = False

    @property
    def validation_loss(self) -> float:
        """Return the mean loss over all validation samples."""
        return float(self.losses.mean())


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the best of the simpler ones.

    Attributes:
        name: of the candidate.
        simpler: of the best one so far; None for the first.
        gain: by what share the loss falls from the simpler one to it, see ``relative_gain``; None for the first.
        margin: by how many standard errors of it the candidate has to be better.
        better: whether the candidate takes its place.
    """

    name: str
    simpler: str | None
    gain: Difference | None
    margin: float
    better: bool


class Candidates:
    """Models side by side, from the simplest to the most trained, on the same validation samples.

    Args:
        data: its validation samples choose, or its guard.
        margin: by how many standard errors of its gain a model must be better than a simpler one; twice as many where
            it could not be moved back towards its start, for it is right or wrong as a whole, and where the error is
            from fewer than four periods of items, for then it is itself a guess.
    """

    def __init__(self, data: TrainingData, margin: float = 0.5) -> None:
        self.validation = data.validation
        self.guard = data.guard
        self.groups = data.compared_groups
        self.margin = margin
        self._all: list[Candidate] = []

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all)

    def add(
        self, name: str, model: nn.Module | None, losses: np.ndarray | None = None, shrinkage: Shrinkage | None = None
    ) -> None:
        """Measure a model and let it compete; ``losses`` are given where they are known already."""
        if losses is None:
            assert model is not None, "a model that is gone has losses that are known"
            losses = self.measure(model)
        self._all.append(Candidate(name, model, losses, shrinkage))

    def add_baseline(self, name: str, model: nn.Module) -> None:
        """Add a candidate that no training starts from."""
        self._all.append(Candidate(name, model, self.measure(model), is_baseline=True))

    def refuse(self, name: str) -> None:
        """Let a candidate lose, whatever its loss."""
        self._all = [replace(each, refused=each.refused or each.name == name) for each in self._all]

    def measure(self, model: nn.Module) -> np.ndarray:
        """Return the loss of each validation sample, or of each case of the guard."""
        return sample_losses(model, self.validation) if self.guard is None else self.guard.losses(model)

    def comparisons(self) -> list[Comparison]:
        """Compare each candidate with the best of the simpler ones; the last ``better`` one has won.

        A candidate is better if its mean loss is lower, and its gain over periods and items is more than ``margin``
        standard errors (see ``relative_gain``), twice as many without a factor of shrinkage or with fewer than four
        periods of items. Where these are unknown, or the margin is 0, the lower loss decides.

        Raises:
            InputError: no candidate has a finite loss.
        """
        return self._compared(self._all)

    def _compared(self, candidates: Sequence[Candidate]) -> list[Comparison]:
        found: list[Comparison] = []
        best: Candidate | None = None
        for each in candidates:
            if each.refused or not math.isfinite(each.validation_loss):
                simpler = None if best is None else best.name
                found.append(Comparison(each.name, simpler, None, self._margin(each), better=False))
            elif best is None:
                found.append(Comparison(each.name, None, None, self._margin(each), better=True))
                best = each
            else:
                gain = relative_gain(best.losses, each.losses, self.groups)
                margin = self._margin(each, gain)
                beyond_noise = margin == 0 or gain.error is None or gain.mean > margin * gain.error
                better = each.validation_loss < best.validation_loss and beyond_noise
                found.append(Comparison(each.name, best.name, gain, margin, better))
                best = each if better else best
        if best is None:
            losses = ", ".join(f"{candidate.name}: {candidate.validation_loss}" for candidate in candidates)
            raise InputError(f"Expected a finite validation loss, found {losses}. Look for extreme values in the data.")
        return found

    def _margin(self, candidate: Candidate, gain: Difference | None = None) -> float:
        few = gain is not None and gain.groups < _FEWEST_GROUPS
        return _DOUBTFUL * self.margin if few or candidate.shrinkage is None else self.margin

    def best(self) -> Candidate:
        """Return the candidate that no simpler one can hold against, see `comparisons`.

        Raises:
            InputError: no candidate has a finite loss.
        """
        return self._best(self._all)

    def _best(self, candidates: Sequence[Candidate]) -> Candidate:
        winner = [comparison.name for comparison in self._compared(candidates) if comparison.better][-1]
        return next(candidate for candidate in candidates if candidate.name == winner)

    def take_best(self) -> Candidate:
        """Return the best candidate, and let go of all models: the memory of the others is free again."""
        best = self.best()
        self._all = [replace(each, model=None) for each in self._all]
        return best

    def named(self, name: str) -> Candidate:
        """Return the candidate with this name to train on from; "best" is the best of all so far.

        Raises:
            InputError: there is none: the task has no such start.
        """
        starts = [candidate for candidate in self._all if not candidate.is_baseline]
        if name == BEST:
            return self._best(starts)
        found = next((candidate for candidate in starts if candidate.name == name), None)
        if found is None:
            raise InputError(
                f"{argument('start', name)} needs a model that this task does not have. Use {argument('start', BEST)}."
            )
        return found
