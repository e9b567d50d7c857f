"""Samples for learning a normal part by rebuilding it: windows with hidden patches.

Shapes: B batch, C channels, T context length, L steps of a series, N patches, P patch length.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.data.batch_source import chosen_rows, spread_rows
from tracetune.data.windows import Windows
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.task import TrainingData

PERIODS = 4  # of the part that validates
_MOST_HIDDEN = 0.5


class HiddenPatches:
    """Windows of series, some patches of each hidden; the same ones at every visit.

    Every second window loses patches here and there, the others one run of patches; up to half of them.

    Args:
        windows: whose contexts are the samples.
        patch_length: P.
        seed: which patches.
    """

    def __init__(self, windows: Windows, patch_length: int, seed: int) -> None:
        self.windows = windows
        self.patch_length = patch_length
        self.seed = seed

    def __len__(self) -> int:
        return len(self.windows)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return ``values`` and ``input_mask`` [B, 1, T] and ``patch_mask`` [B, 1, N]."""
        batch = self.windows.__getitems__(indices)
        values = torch.cat([batch["past_values"], batch["future_values"]], dim=-1)
        mask = torch.cat([batch["input_mask"], batch["future_mask"]], dim=-1)
        hidden = np.stack([self._hidden(index) for index in indices])
        return {"values": values, "input_mask": mask, "patch_mask": torch.from_numpy(hidden)[:, None]}

    def _hidden(self, index: int) -> np.ndarray:
        """Return which patches [N] of one window are hidden: at least one, and never all."""
        patches = (self.windows.context_length + self.windows.prediction_length) // self.patch_length
        generator = np.random.default_rng([self.seed, index])
        count = int(generator.integers(1, max(round(_MOST_HIDDEN * patches), 1) + 1))
        hidden = np.zeros(patches, dtype=bool)
        if generator.random() < 0.5:
            hidden[generator.permutation(patches)[:count]] = True
        else:
            start = int(generator.integers(0, patches - count + 1))
            hidden[start : start + count] = True
        return hidden


def trained_context(lengths: Sequence[int], longest: int, patch_length: int) -> int:
    """Return the steps T of training windows: whole patches, at most ``longest``, a quarter of the longest series.

    Raises:
        InputError: no series has eight patches.
    """
    context = min(longest, max(lengths) // 4) // patch_length * patch_length
    if context < 2 * patch_length:
        raise InputError(
            f"Expected a normal part of at least {8 * patch_length} steps (8 patches) to fine-tune on, found "
            f"{max(lengths)}. Leave the method out: scores by neighbours need no fine-tuning."
        )
    return context


def validation_start(length: int, context_length: int) -> int:
    """Return how many first steps of a normal part train; the rest, a quarter and a context at least, validates."""
    return max(length - max(length // 4, context_length), min(context_length, length))


def periods_of(places: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return which of the equally long periods of [first, stop) each place is in, all [S] in steps."""
    return (PERIODS * (places - first) // np.maximum(stop - first, 1)).clip(0, PERIODS - 1)


def normal_data(
    values: Sequence[np.ndarray], context_length: int, patch_length: int, most_validation: int | None, seed: int
) -> TrainingData:
    """Return windows of scaled normal parts [C, L]; the last quarter of each validates, in several periods.

    Args:
        values: one array [C, L] a series, NaN where missing.
        context_length: T.
        patch_length: P.
        most_validation: most validation windows; None for all.
        seed: of what is hidden and drawn.
    """
    ends = [array.shape[1] for array in values]
    borders = [validation_start(end, context_length) for end in ends]
    lengths = context_length - patch_length, patch_length
    stride = max(1, patch_length // 2)
    # A range is where targets lie; windows are the T steps that end with their target.
    train = Windows(values, *lengths, [(0, border) for border in borders], stride)
    validation = Windows(
        values, *lengths, [(min(b + lengths[0], e), e) for b, e in zip(borders, ends, strict=True)], stride
    )
    rows = spread_rows(len(validation), most_validation or len(validation), seed)
    series, channel, origin = validation.locate_rows(rows)
    starts, stops = np.array(borders)[series], np.array(ends)[series]
    periods = periods_of(origin, starts + lengths[0], stops)
    return TrainingData(
        HiddenPatches(train, patch_length, seed),
        chosen_rows(HiddenPatches(validation, patch_length, seed + 1), rows.tolist()),
        SampleGroups.of_channels(periods, series, channel),
    )
