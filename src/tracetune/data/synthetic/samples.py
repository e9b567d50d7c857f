"""A few rows of every generator and of the finished corpus, to look at."""

import inspect

from torch import Tensor

from tracetune.data.synthetic.corpus import GENERATORS, generate
from tracetune.data.synthetic.random_source import RandomSource


def phenomenon(name: str) -> str:
    """Return what a generator stands for: the first line of its docstring."""
    return inspect.getdoc(GENERATORS[name]).partition("\n")[0]  # type: ignore[union-attr]


def sample_rows(count: int, length: int = 512, seed: int = 0) -> dict[str, Tensor]:
    """Draw ``count`` usable rows [count, L] of each generator, before mixing and transforms."""
    return {name: _usable(name, count, length, seed) for name in GENERATORS}


def finished_rows(count: int, length: int = 512, seed: int = 0) -> Tensor:
    """Draw ``count`` rows [count, L] of a small finished corpus: mixed, transformed, standardised."""
    return generate(max(count, 64), length, RandomSource(seed))[:count]


def _usable(name: str, count: int, length: int, seed: int) -> Tensor:
    """Draw finite rows of a generator, more than needed at first, since some orbits escape."""
    rows = GENERATORS[name](4 * count, length, RandomSource(seed))
    return rows[rows.isfinite().all(1)][:count]
