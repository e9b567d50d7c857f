"""Anomaly detection: the model that scores, and its training, which rebuilds hidden patches of normal series.

Shapes: B batch, C channels, T context length, N patches, P patch length, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.backbones.backbone import Backbone, MaskedBackbone
from tracetune.backbones.normalisation import InstanceStatistics, per_channel
from tracetune.base.errors import InputError
from tracetune.data.batch_source import chosen_rows, spread_rows
from tracetune.data.windows import Windows
from tracetune.evaluation.periods import SampleGroups
from tracetune.heads.patches import PatchHead, PatchHeadConfig
from tracetune.tasks.task import Features, Output, TaskModel, TrainingData

_LARGEST_TARGET = 10.0  # deviations of what is visible: jumps beyond are as bad as this
_PERIODS = 4
_MOST_HIDDEN = 0.5


class AnomalyModel(TaskModel):
    """A backbone that encodes windows, and a head that rebuilds patches which were hidden from it.

    Without a head the backbone rebuilds by itself, where it can.
    """

    labels = ("patch_mask",)

    def __init__(self, backbone: Backbone, head: nn.Module | None, context_length: int, name_or_path: str = "") -> None:
        super().__init__(backbone, head, name_or_path)
        self.context_length = context_length

    @property
    def tokens_per_sample(self) -> int:
        """Return N of a window: samples have one channel."""
        return int(self.backbone.num_patches(self.context_length))

    @property
    def to_patch(self) -> nn.Module | None:
        """Return the map from tokens [..., D] to the steps of their patches [..., P]; None where there is none."""
        if self.head is not None:
            return self.head
        return self.backbone.token_to_patch if isinstance(self.backbone, MaskedBackbone) else None

    def forward(self, **batch: Tensor) -> Output:
        """Return the losses of a batch: ``values`` and ``input_mask`` [B, 1, T], ``patch_mask`` [B, 1, N]."""
        to_patch = self.to_patch
        assert to_patch is not None, "only what rebuilds has losses"
        features = self.features(batch)
        return self.loss(to_patch(features["tokens"]).float(), features)

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tokens [B, 1, N, D], the steps to rebuild [B, 1, N, P], normalised, and which of them count."""
        values, hidden = batch["values"], batch["patch_mask"].bool()
        tokens, statistics = self.backbone.encode(values, batch["input_mask"], hidden)
        observed = per_channel(batch["input_mask"], values).bool()
        patches = hidden.shape[-1]
        target = ((values - statistics.location) / statistics.scale).clamp(-_LARGEST_TARGET, _LARGEST_TARGET)
        counted = observed.unflatten(-1, (patches, -1)) & hidden.unsqueeze(-1)
        return {
            "tokens": tokens,
            "target": target.unflatten(-1, (patches, -1)),
            "counted": counted,
            "patch_mask": batch["patch_mask"],
        }

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> Output:
        """Return the mean squared errors of steps [B, 1, N, P] over those that were hidden and observed."""
        errors = (outputs - features["target"]).square() * features["counted"]
        losses = errors.flatten(1).sum(1) / features["counted"].flatten(1).sum(1).clamp(min=1)
        return Output(loss=losses.mean(), sample_losses=losses)

    def zero_shot_head(self) -> nn.Module | None:
        """Return a head that rebuilds as the backbone does by itself."""
        return PatchHead(self.backbone.token_to_patch) if isinstance(self.backbone, MaskedBackbone) else None


@dataclass(frozen=True)
class AnomalyDetection:
    """The task of learning a normal part by rebuilding hidden patches of it.

    Attributes:
        context_length: T of a window, a multiple of the patch length.
        name_or_path: where the backbone comes from.
    """

    context_length: int
    name_or_path: str = ""
    name: ClassVar[str] = "anomaly"

    @property
    def default_head(self) -> PatchHeadConfig:
        """Return that of a head that starts as the backbone's map from tokens to patches."""
        return PatchHeadConfig()

    def model(self, backbone: Backbone, head: object) -> AnomalyModel:
        """Put a head on a backbone that starts as the backbone's own.

        Raises:
            InputError: a backbone that does not rebuild hidden patches.
        """
        require_rebuilding(backbone)
        assert isinstance(backbone, MaskedBackbone)
        module = PatchHead(backbone.token_to_patch)
        return AnomalyModel(backbone, module, self.context_length, self.name_or_path)

    def zero_shot(self, backbone: Backbone) -> AnomalyModel:
        """Return the backbone rebuilding by itself."""
        return AnomalyModel(backbone, None, self.context_length, self.name_or_path)

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> None:
        """Return None: the head starts as the backbone's own, which was trained for this."""


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


def require_rebuilding(backbone: Backbone) -> None:
    """Raise InputError where a backbone does not rebuild hidden patches."""
    if not isinstance(backbone, MaskedBackbone):
        raise InputError(
            f"Expected a backbone that rebuilds hidden patches, to learn a normal part with it; "
            f"{type(backbone).__name__} does not. Use it as it is: leave the method out."
        )


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
    period = (_PERIODS * (origin - starts - lengths[0]) // np.maximum(stops - starts - lengths[0], 1)).clip(
        0, _PERIODS - 1
    )
    items = series * max(len(array) for array in values) + channel
    return TrainingData(
        HiddenPatches(train, patch_length, seed),
        chosen_rows(HiddenPatches(validation, patch_length, seed + 1), rows.tolist()),
        SampleGroups(period, np.unique(items, return_inverse=True)[1].reshape(-1)),
    )


def normalised_steps(statistics: InstanceStatistics, steps: Tensor) -> Tensor:
    """Return rebuilt steps [B, C, N, P] as values [B, C, N P] in the units of the input."""
    return statistics.denormalise(steps.flatten(2).float())
