"""Scores from how far a model's guess of each step is from what was observed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.tasks.anomaly.scores.scaling import LEAST_UNIT, Scaling, Spread
from tracetune.tasks.anomaly.scores.scorer import Calibration, NormalChannel, Reference
from tracetune.tasks.anomaly.scores.sliding import window_widths


class StepErrors(Protocol):
    """Errors of a model that guesses steps from others."""

    @property
    def reach(self) -> int:
        """Return steps: what is farther than this from a step has no part in its error."""
        ...

    def __call__(self, scaled: np.ndarray, at: int) -> np.ndarray:
        """Return absolute errors [T] of values [T] in deviations of the normal part; NaN where nothing was guessed.

        ``at`` is the place of the first step on a grid of windows.
        """
        ...


@dataclass(frozen=True)
class ErrorScorer:
    """A model's errors, smoothed over half a period, in units of their spread over the normal part.

    Attributes:
        errors: of the model.
        scaling: of the normal part.
        smoothing: steps of the moving mean, odd.
        spread: of the smoothed errors over the normal part.
        normal_scores: [T] scores of the normal part.
    """

    errors: StepErrors
    scaling: Scaling
    smoothing: int
    spread: Spread
    normal_scores: np.ndarray

    @property
    def reach(self) -> int:
        """Return steps that have a part in the error of a step, or are smoothed with it."""
        return self.errors.reach + self.smoothing // 2

    @property
    def calibration(self) -> Calibration:
        """Return spread and normal scores."""
        return {
            "spread": np.array([self.spread.middle, self.spread.unit]),
            "normal_scores": self.normal_scores,
        }

    def held_out_scores(self) -> np.ndarray:
        """Return the normal scores: a model that guesses steps compares with no other part of the series."""
        return self.normal_scores

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`.

        Raises:
            InputError: to be compared with the rest of a table, where nothing is compared.
        """
        if reference == "table":
            raise InputError(
                f"{argument('reference', 'table')} goes with scorers that compare windows: neighbours and windows, and "
                "rank_average of these. A model that rebuilds or forecasts steps compares none. Leave it out."
            )
        return self.spread.scaled(_smoothed(self.errors(self.scaling.scaled(values), at or 0), self.smoothing))


def fit_error_scorer(normal: NormalChannel, errors: StepErrors) -> ErrorScorer:
    """Learn how large errors are in a normal part.

    Raises:
        InputError: nothing in it is observed and guessed.
    """
    values = np.asarray(normal.values, float)
    scaling = Scaling.of(values)
    smoothing = window_widths(values)[0] // 4 * 2 + 1
    if (known := normal.calibration) is not None:
        spread = Spread(*map(float, known["spread"]))
        return ErrorScorer(errors, scaling, smoothing, spread, known["normal_scores"])
    smoothed = _smoothed(errors(scaling.scaled(values), 0), smoothing)
    if np.isnan(smoothed).all():
        raise InputError(
            f"Expected a normal part in which a model can guess steps from others, found none among {len(values):,} "
            f"steps, {int(np.isfinite(values).sum()):,} of them with a value. Give more of them, or take the scorer "
            "'neighbours'."
        )
    spread = Spread.of(smoothed, LEAST_UNIT)
    return ErrorScorer(errors, scaling, smoothing, spread, spread.scaled(smoothed))


def _smoothed(errors: np.ndarray, steps: int) -> np.ndarray:
    """Return the moving mean [T] of the errors that are known, NaN where no more than half of them are.

    Errors as small as a model's rounding are none: of a constant, which has no others, they would be its spread.
    """
    errors = np.where(errors <= LEAST_UNIT, 0.0, errors)
    known = _moving_mean(np.isfinite(errors).astype(float), steps)
    return _moving_mean(errors, steps).where(known > 0.5).to_numpy()


def _moving_mean(values: np.ndarray, steps: int) -> pd.Series:
    return pd.Series(values).rolling(window=steps, center=True, min_periods=1).mean()
