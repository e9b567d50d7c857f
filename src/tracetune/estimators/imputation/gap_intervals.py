"""Quantiles of the errors of fills by the length of the gap: on validation, where gaps are rare on training too.

Split conformal prediction (Lei et al. 2018, section 2), with errors in units of the scaled series.

Shapes: B batch, C channels, T context, E errors, L classes of gap length, Q quantile levels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tracetune.base.module_device import module_device
from tracetune.data.batch_source import BatchSource, chosen_rows, spread_rows
from tracetune.data.windows import batches
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles
from tracetune.tasks.imputation.gaps import LENGTH_CLASSES, gap_classes
from tracetune.tasks.task import TrainingData

_FEWEST = 30  # gaps of a class; errors inside a gap are much alike, so that steps count for little
_TRAIN_CHANNELS = 256  # channels of training windows, where validation has too few gaps of a class


def gap_quantiles(model: nn.Module, data: TrainingData, channels: int, batch_size: int = 64) -> ResidualQuantiles:
    """Return quantiles [L, Q] of truth less fill over hidden steps, for each class of gap length.

    Those of validation count. Of a class of which these have fewer than 30 gaps (long ones, in short series), those of
    training windows count too; they are a little narrow, but those of shorter gaps would be far too narrow. A class
    without 30 gaps in both takes the quantiles of the nearest one that has them, rather a longer one.

    Args:
        model: fills windows.
        data: windows with hidden steps.
        channels: C.
        batch_size: windows in a pass.
    """
    found = _errors(model, data.validation, batch_size)
    if (found.gaps < _FEWEST).any():
        rows = spread_rows(len(data.train), max(batch_size, _TRAIN_CHANNELS // channels), seed=0)
        more = _errors(model, chosen_rows(data.train, rows.tolist()), batch_size)
        found = found.with_more_where(found.gaps < _FEWEST, more)
    enough = np.flatnonzero(found.gaps >= _FEWEST)
    nearest = [
        min(enough.tolist(), key=lambda other: (abs(other - each), -other), default=None)
        for each in range(LENGTH_CLASSES)
    ]
    values = np.stack([_conformal(found.of_class(each)) for each in nearest])
    return ResidualQuantiles(np.asarray(LEVELS), np.maximum.accumulate(np.round(values, 6), axis=1))


@dataclass(frozen=True)
class _Errors:
    """Errors of hidden steps [E], the class of each one's gap [E], and how many gaps there are of each class [L]."""

    errors: np.ndarray
    classes: np.ndarray
    gaps: np.ndarray

    def with_more_where(self, wanted: np.ndarray, more: "_Errors") -> "_Errors":
        """Return these errors, and ``more`` of the classes [L] that are wanted."""
        chosen = wanted[more.classes]
        return _Errors(
            np.concatenate([self.errors, more.errors[chosen]]),
            np.concatenate([self.classes, more.classes[chosen]]),
            self.gaps + np.where(wanted, more.gaps, 0),
        )

    def of_class(self, number: int | None) -> np.ndarray:
        """Return the errors of a class; those of all for None."""
        return self.errors if number is None else self.errors[self.classes == number]


def _errors(model: nn.Module, windows: BatchSource, batch_size: int) -> _Errors:
    """Return the errors of a model on windows with hidden steps."""
    errors, classes, begun = [], [], []
    with torch.inference_mode():
        for batch in batches(windows, batch_size, module_device(model)):
            filled = model(batch["values"], batch["input_mask"], batch["step_mask"]).filled
            hidden = batch["target_mask"] > 0
            lengths = gap_classes(batch["input_mask"] > 0)[0]
            first = hidden & ~torch.nn.functional.pad(hidden, (1, -1))
            errors.append((batch["target_values"] - filled)[hidden].double().cpu().numpy())
            classes.append(lengths[hidden].cpu().numpy())
            begun.append(lengths[first].cpu().numpy())
    gaps = np.bincount(np.concatenate(begun), minlength=LENGTH_CLASSES)
    return _Errors(np.concatenate(errors), np.concatenate(classes), gaps)


def _conformal(errors: np.ndarray) -> np.ndarray:
    """Return quantiles at ``LEVELS``, each a little farther out, as n errors demand: level q becomes q (n + 1) / n."""
    levels, count = np.asarray(LEVELS), len(errors)
    outer = np.where(levels < 0.5, levels - (1 - levels) / count, levels * (count + 1) / count)
    return np.quantile(errors, np.clip(outer, 0.0, 1.0))
