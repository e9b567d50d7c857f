"""Windows over all channels of a series, in each of which observed steps are hidden to be filled.

What is hidden in a window is fixed by the seed and the number of the window, so that features can be kept and a run can
be repeated. Shapes: C channels, L steps of a series, T context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tracetune.tasks.imputation.hidden_steps import CHANNELS, ENDS, FITTED_PATTERNS, draw_ends, draw_hidden

SHARES = (0.1, 0.5)  # of the steps of a training window, the least and the most


@dataclass(frozen=True)
class Place:
    """One window.

    Attributes:
        series: number of its series.
        stop: step after its last one; it has the T steps before, those before the series are padding.
        start: no step before this one is hidden.
        first: no step before this one is shown.
        period: which stretch of its part it lies in, by time.
    """

    series: int
    stop: int
    start: int
    first: int = 0
    period: int = 0


class MaskedWindows:
    """Windows with hidden steps, as a data set that hands out whole batches.

    Args:
        values: one array [C, L] a series, scaled, NaN where missing.
        places: the windows.
        context_length: T.
        patterns: what is hidden; windows take them in turn.
        shares: least and most share of steps to hide; one number where both are the same.
        seed: fixes what is hidden.
    """

    def __init__(
        self,
        values: Sequence[np.ndarray],
        places: Sequence[Place],
        context_length: int,
        patterns: Sequence[str] = FITTED_PATTERNS,
        shares: tuple[float, float] = SHARES,
        seed: int = 0,
    ) -> None:
        self.values = values
        self.context_length = context_length
        self.patterns = tuple(patterns)
        self.shares = shares
        self.seed = seed
        self.places = tuple(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return a batch of windows.

        ``values`` [B, C, T] (0 where not shown), ``input_mask`` [B, C, T] (1 where shown), ``step_mask`` [B, T] (1
        where the series has a step), ``target_values`` and ``target_mask`` [B, C, T] (1 at hidden steps), and
        ``period`` [B].
        """
        windows = [self._window(int(index)) for index in indices]
        values, shown, steps, hidden = (np.stack(parts) for parts in zip(*windows, strict=True))
        return {
            "values": torch.from_numpy(np.where(shown, values, 0.0).astype(np.float32)),
            "input_mask": torch.from_numpy(shown.astype(np.float32)),
            "step_mask": torch.from_numpy(steps.astype(np.float32)),
            "target_values": torch.from_numpy(np.where(hidden, values, 0.0).astype(np.float32)),
            "target_mask": torch.from_numpy(hidden.astype(np.float32)),
            "period": torch.tensor([self.places[int(index)].period for index in indices]),
        }

    def without_targets(self) -> np.ndarray:
        """Return whether each window hides nothing that is observed, or shows nothing; such windows teach nothing."""
        found = [self._window(index) for index in range(len(self))]
        return np.array([not hidden.any() or not shown.any() for _, shown, _, hidden in found])

    def _window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values [C, T], which are shown, which steps the series has [T], and which values are hidden [C, T]."""
        place = self.places[index]
        series = self.values[place.series]
        begin = place.stop - self.context_length
        first = max(begin, place.first)
        values = np.full((len(series), self.context_length), np.nan, dtype=np.float32)
        values[:, first - begin :] = series[:, first : place.stop]
        steps = np.arange(self.context_length) >= first - begin
        observed = ~np.isnan(values)
        generator = np.random.default_rng([self.seed, index])
        away = max(place.start, first) - begin  # steps that are only shown
        share = generator.uniform(*self.shares) if self.shares[0] < self.shares[1] else self.shares[0]
        pattern = self.patterns[index % len(self.patterns)]
        covered = np.zeros_like(observed)
        draw = draw_ends if pattern == ENDS else partial(draw_hidden, pattern)
        covered[:, away:] = draw(share, (len(series), self.context_length - away), generator)
        if pattern == CHANNELS and len(series) > 1:
            covered |= covered.any(axis=1, keepdims=True)  # the whole window, measured where it may be
        may = observed & (np.arange(self.context_length) >= away)
        if not (covered & may).any() or not (observed & ~covered).any():  # of short windows: one step
            covered = _one_of(may, generator)
        hidden, shown = covered & may, observed & ~covered
        return values, shown, steps, hidden


def _one_of(steps: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw one of the true entries of a mask; none of an empty one."""
    chosen = np.zeros_like(steps)
    places = np.flatnonzero(steps)
    if len(places):
        chosen.flat[generator.choice(places)] = True
    return chosen
