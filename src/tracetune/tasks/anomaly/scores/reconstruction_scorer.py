"""Scorer "reconstruction": how far hidden patches are from what the backbone rebuilds in their place."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device
from tracetune.tasks.anomaly.model import AnomalyModel, normalised_steps
from tracetune.tasks.anomaly.scores.error_scorer import ErrorScorer, fit_error_scorer
from tracetune.tasks.anomaly.scores.scorer import NormalChannel, Reads, register_scorer
from tracetune.tasks.anomaly.scores.sliding import window_starts

_BATCH = 64


@register_scorer
@dataclass(frozen=True)
class Reconstruction:
    """Every patch is hidden once, together with every ``turns``-th other one, and rebuilt from those that are left.

    Attributes:
        turns: passes over each window.
    """

    turns: int = 4
    name: ClassVar[str] = "reconstruction"
    reads: ClassVar[Reads] = "model"
    compares_levels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.turns < 2:
            raise InputError(f"Expected at least 2 turns, found {self.turns}: patches are rebuilt from others.")

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> ErrorScorer:
        """Learn the normal part, see `Scorer`."""
        if model.to_patch is None:
            raise InputError(
                f"Scorer 'reconstruction' needs a backbone that rebuilds hidden patches; "
                f"{type(model.backbone).__name__} does not. Use 'neighbours'."
            )
        return fit_error_scorer(normal, ReconstructionErrors(model, self.turns))


class ReconstructionErrors:
    """Absolute errors of rebuilt steps, in windows of the backbone's context that overlap by half."""

    def __init__(self, model: AnomalyModel, turns: int) -> None:
        assert model.to_patch is not None, "as the scorer requires"
        self.backbone: Backbone = model.backbone
        self.to_patch: nn.Module = model.to_patch
        self.turns = turns

    @property
    def reach(self) -> int:
        """Return steps of a window."""
        return self.backbone.context_length

    def __call__(self, scaled: np.ndarray, at: int) -> np.ndarray:
        """Return the mean errors [T] of values [T] over the windows that cover a step."""
        width = min(self.reach, len(scaled))
        starts = window_starts(len(scaled), width, max(self.reach // 2, 1), at)
        windows = np.lib.stride_tricks.sliding_window_view(scaled, width)
        sums, counts = np.zeros(len(scaled)), np.zeros(len(scaled))
        for first in range(0, len(starts), _BATCH):
            part = starts[first : first + _BATCH]
            errors = self._of_windows(windows[part])
            for start, row in zip(part, errors, strict=True):
                known = np.isfinite(row)
                sums[start : start + width][known] += row[known]
                counts[start : start + width] += known
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def _of_windows(self, windows: np.ndarray) -> np.ndarray:
        """Return errors [K, W]; NaN where nothing was observed."""
        device = module_device(self.backbone)
        values = torch.as_tensor(windows, dtype=torch.float32, device=device)[:, None]
        steps, patches = values.shape[-1], self.backbone.num_patches(values.shape[-1])
        patch_length = self.to_patch(torch.zeros(1, self.backbone.width, device=device)).shape[-1]
        patch_of_step = torch.arange(patches * patch_length - steps, patches * patch_length) // patch_length
        rebuilt = torch.zeros(len(values), steps)
        with torch.inference_mode():
            for turn in range(self.turns):
                hidden = torch.arange(patches) % self.turns == turn
                tokens, statistics = self.backbone.encode(
                    values, None, hidden.to(device).expand(len(values), 1, patches)
                )
                guessed = normalised_steps(statistics, self.to_patch(tokens))
                guessed = guessed[:, 0, -steps:].cpu()
                rebuilt = torch.where(hidden[patch_of_step], guessed, rebuilt)
        return np.abs(rebuilt.double().numpy() - windows)
