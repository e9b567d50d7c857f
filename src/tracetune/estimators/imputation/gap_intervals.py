"""Quantiles of the errors of fills on validation, by the length of the gap.

Split conformal prediction (Lei et al. 2018, section 2), with errors in units of the scaled series.

Shapes: B batch, C channels, T context, L classes of gap length, Q quantile levels.
"""

import numpy as np
import torch
from torch import nn

from tracetune.base.module_device import module_device
from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import batches
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles
from tracetune.tasks.gaps import LENGTH_CLASSES, gap_classes

_FEWEST = 40  # hidden steps of a class; with fewer, those of all classes count


def gap_quantiles(model: nn.Module, validation: BatchSource, batch_size: int = 64) -> ResidualQuantiles:
    """Return quantiles [L, Q] of truth less fill over the hidden steps of validation, for each class of gap length."""
    device = module_device(model)
    errors, classes = [], []
    with torch.inference_mode():
        for batch in batches(validation, batch_size, device):
            filled = model(batch["values"], batch["input_mask"], batch["step_mask"]).filled
            hidden = batch["target_mask"] > 0
            errors.append((batch["target_values"] - filled)[hidden].double().cpu().numpy())
            classes.append(gap_classes(batch["input_mask"] > 0)[0][hidden].cpu().numpy())
    every, kind = np.concatenate(errors), np.concatenate(classes)
    rows = [every[kind == each] if (kind == each).sum() >= _FEWEST else every for each in range(LENGTH_CLASSES)]
    values = np.stack([_conformal(row) for row in rows])
    return ResidualQuantiles(np.asarray(LEVELS), np.maximum.accumulate(np.round(values, 6), axis=1))


def _conformal(errors: np.ndarray) -> np.ndarray:
    """Return quantiles at ``LEVELS``, each a little farther out, as n errors demand: level q becomes q (n + 1) / n."""
    levels, count = np.asarray(LEVELS), len(errors)
    outer = np.where(levels < 0.5, levels - (1 - levels) / count, levels * (count + 1) / count)
    return np.quantile(errors, np.clip(outer, 0.0, 1.0))
