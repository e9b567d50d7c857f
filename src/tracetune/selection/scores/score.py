"""What an importance score is, what it returns, and the registry of all scores.

A new score is one file in this folder, listed in ``__init__.py``:

    @register_score("spread", passes=FORWARD, signed=False)
    def spread(gates, batches, loss_fn, *, seed=0) -> ScoreValues: ...

Scores of other packages register in the same way when their file is imported.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracetune.base.errors import InputError, unknown_name

FORWARD = 1.0
FORWARD_BACKWARD = 3.0
"""Cost of one batch in forward passes: a backward pass counts as two."""


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


ScoreFunction = Callable[..., ScoreValues]
"""A function of (gates, batches, loss_fn) and keyword-only options of its own, called on an undisturbed model."""


@dataclass(frozen=True)
class Score:
    """An importance score by its name.

    Attributes:
        name: what users call it.
        function: computes it.
        passes: cost of one batch in forward passes: a number, or a function of the number of modules and of all
            options by name.
        signed: whether values are in units of the validation loss, positive where opening the module lowers it.
    """

    name: str
    function: ScoreFunction
    passes: float | Callable[..., float]
    signed: bool

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self._defaults())

    def check_options(self, names: Iterable[str]) -> None:
        """Raise an InputError that lists the valid options where one of ``names`` is none."""
        for name in names:
            if name not in self.options:
                raise unknown_name(f"option of score {self.name!r}", name, self.options)

    def passes_per_batch(self, modules: int, **options: Any) -> float:
        """Return the forward passes over a batch that M modules take; options of other scores are passed over."""
        if not callable(self.passes):
            return self.passes
        defaults = self._defaults()
        known = {name: value for name, value in options.items() if name in defaults}
        return self.passes(modules, **{**defaults, **known})

    def _defaults(self) -> dict[str, Any]:
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


SCORES: dict[str, Score] = {}
"""All scores by name."""


def register_score(
    name: str, *, passes: float | Callable[..., float], signed: bool
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register the decorated function as the score ``name``; see :class:`Score`.

    Raises:
        InputError: another function has this name.
    """

    def register(function: ScoreFunction) -> ScoreFunction:
        if name in SCORES and SCORES[name].function.__qualname__ != function.__qualname__:
            raise InputError(f"Expected a new name for a score, found {name!r}, which is taken. Choose another.")
        SCORES[name] = Score(name, function, passes, signed)
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
