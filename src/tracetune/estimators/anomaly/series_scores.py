"""Scores of the steps of one series, with the threshold from which on they raise an alarm."""

from dataclasses import dataclass

import numpy as np

from tracetune.data.panels import Series


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one series.

    Attributes:
        series: what was scored.
        channels: [C, T], NaN where there is none.
        total: [T], the highest of the channels.
        threshold: [T].
    """

    series: Series
    channels: np.ndarray
    total: np.ndarray
    threshold: np.ndarray

    @property
    def alarm(self) -> np.ndarray:
        """Return which steps [T] raise an alarm; those without a score do not."""
        return np.nan_to_num(self.total, nan=-np.inf) > self.threshold
