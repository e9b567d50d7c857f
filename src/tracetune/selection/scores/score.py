"""The interface of importance scores, and their registry.

A new score is one file in this folder, listed in ``__init__.py``:

    @register_score("spread", passes=FORWARD, signed=False)
    def spread(gates, batches, loss_fn, *, seed=0) -> ScoreValues: ...

Scores of other packages register in the same way when their file is imported.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tracetune.base.errors import InputError, unknown_name


@dataclass(frozen=True)
class ScoreValues:
    """Values of a score for the M modules of a model.

    Attributes:
        values: [M], higher is more important.
        standard_errors: [M], NaN where the data do not tell them; None where the score is not a mean.
        samples: validation samples used.
        forward_equivalents: cost in forward passes over one batch.
    """

    values: np.ndarray
    standard_errors: np.ndarray | None
    samples: int
    forward_equivalents: float


Passes = float | Callable[..., float]
"""Forward passes over a batch: a number, or a function of the number of modules and of all options by name."""

ScoreFunction = Callable[..., ScoreValues]
"""A function of (gates, batches, loss_fn) and keyword-only options of its own, called on an undisturbed model."""


@dataclass(frozen=True)
class Score:
    """An importance score by its name.

    Attributes:
        name: what users call it.
        function: computes it.
        passes: cost of one batch.
        beside: the most that scoring takes beside that, whatever the number of batches.
        signed: whether values are in units of the validation loss, positive where opening the module lowers it.
    """

    name: str
    function: ScoreFunction
    passes: Passes
    signed: bool
    beside: Passes = 0.0

    @property
    def options(self) -> tuple[str, ...]:
        """Return names of the options."""
        return tuple(self._defaults())

    def check_options(self, names: Iterable[str]) -> None:
        """Raise an InputError that lists the valid options where one of ``names`` is none."""
        for name in names:
            if name not in self.options:
                raise unknown_name(f"option of score {self.name!r}", name, self.options)

    def passes_per_batch(self, modules: int, **options: object) -> float:
        """Return the forward passes over a batch that M modules take; options of other scores are passed over."""
        return self._evaluated(self.passes, modules, options)

    def passes_per_round(self, modules: int, **options: object) -> float:
        """Return the most forward passes over a batch that scoring M modules takes beside those for its batches."""
        return self._evaluated(self.beside, modules, options)

    def _evaluated(self, passes: Passes, modules: int, options: Mapping[str, object]) -> float:
        if not callable(passes):
            return passes
        defaults = self._defaults()
        known = {name: value for name, value in options.items() if name in defaults}
        return passes(modules, **{**defaults, **known})

    def _defaults(self) -> dict[str, object]:
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


SCORES: dict[str, Score] = {}
"""All scores by name."""


def register_score(
    name: str, *, passes: Passes, signed: bool, beside: Passes = 0.0
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register the decorated function as the score ``name``; see `Score`.

    Raises:
        InputError: another function has this name.
    """

    def register(function: ScoreFunction) -> ScoreFunction:
        if name in SCORES and SCORES[name].function.__qualname__ != function.__qualname__:
            raise InputError(f"Expected a new name for a score, found {name!r}, which is taken. Choose another.")
        SCORES[name] = Score(name, function, passes, signed, beside)
        return function

    return register


def find_score(name: str) -> Score:
    """Return the score of this name.

    Raises:
        InputError: there is none; the nearest names are suggested.
    """
    if name not in SCORES:
        raise unknown_name("score", name, SCORES)
    return SCORES[name]
