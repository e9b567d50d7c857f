"""Classification: which of K classes a whole series belongs to.

Shapes: S samples, B batch, C channels, T context, N patches, D width, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.heads.classification import ClassificationHead, ClassificationHeadConfig
from tracetune.heads.head import Head
from tracetune.heads.logistic import fit_logistic
from tracetune.tasks.task import Features, Output, TaskModel, TrainingData

STATISTICS = 2  # features of a token that say where the series lies and how much it varies


@dataclass
class ClassificationOutput(Output):
    """What a classification model returns.

    Attributes:
        loss: [] mean of ``sample_losses``; None without labels.
        sample_losses: [B] cross-entropy of each sample.
        logits: [B, K].
    """

    logits: Tensor | None = None


class ClassificationModel(TaskModel):
    """Backbone and classification head.

    Backbones normalise each series, so that its level and deviation are lost to their tokens; both are appended to
    every token, as location and log scale.

    Args:
        backbone: encodes series.
        head: from tokens [B, C, N, D + 2] to logits [B, K].
        channels: C.
        context_length: T.
        name_or_path: where the backbone comes from.
    """

    labels = ("labels",)

    def __init__(
        self, backbone: Backbone, head: nn.Module, channels: int, context_length: int, name_or_path: str = ""
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.channels = channels
        self.context_length = context_length

    @property
    def tokens_per_sample(self) -> int:
        """Return the number of tokens C N of a sample."""
        return self.channels * int(self.backbone.num_patches(self.context_length))

    def forward(self, values: Tensor, labels: Tensor | None = None) -> ClassificationOutput:  # type: ignore[override]
        """Return logits of series [B, C, T], NaN where missing, and the loss where labels [B] are given."""
        assert self.head is not None, "a classifier has a head"
        logits = self.head(self._tokens(values)).float()
        return ClassificationOutput(logits=logits) if labels is None else self.loss(logits, {"labels": labels})

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tokens [B, C, N, D + 2] and labels [B]."""
        return {"tokens": self._tokens(batch["values"]), "labels": batch["labels"]}

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> ClassificationOutput:
        """Return the cross-entropy of logits [B, K]."""
        losses = functional.cross_entropy(outputs, features["labels"], reduction="none")
        return ClassificationOutput(loss=losses.mean(), sample_losses=losses, logits=outputs)

    def _tokens(self, values: Tensor) -> Tensor:
        tokens, statistics = self.backbone.encode(values)
        of_series = torch.cat([statistics.location, statistics.scale.log()], dim=-1)  # [B, C, 2]
        return torch.cat([tokens, of_series.to(tokens.dtype).unsqueeze(-2).expand(*tokens.shape[:-1], -1)], dim=-1)


@dataclass(frozen=True)
class Classification:
    """The task of telling K classes apart.

    Attributes:
        classes: K.
        channels: C.
        context_length: T.
        name_or_path: where the backbone comes from.
    """

    classes: int
    channels: int
    context_length: int
    name_or_path: str = ""
    name: ClassVar[str] = "classification"

    @property
    def default_head(self) -> ClassificationHeadConfig:
        """Return the default head: mean and maximum over the patches, then one layer."""
        return ClassificationHeadConfig()

    def model(self, backbone: Backbone, head: ClassificationHeadConfig) -> ClassificationModel:
        """Put a new head on a backbone."""
        if not isinstance(head, ClassificationHeadConfig):
            raise InputError(f"Expected a ClassificationHeadConfig as head of a classifier, found {head!r}.")
        module = ClassificationHead(self.channels, backbone.width + STATISTICS, self.classes, head.dropout)
        return ClassificationModel(backbone, module, self.channels, self.context_length, self.name_or_path)

    def zero_shot(self, backbone: Backbone) -> None:
        """Return None: no backbone knows the classes."""
        return

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float:
        """Solve the head by logistic regression; returns the validation loss."""
        assert isinstance(model.head, Head)
        return fit_logistic(model.head, train, validation).validation_loss


class LabelledSeries:
    """Series with their classes, as a data set that hands out whole batches.

    Args:
        values: [S, C, T] float32, NaN where missing.
        labels: [S] numbers of classes, from 0.
    """

    def __init__(self, values: np.ndarray, labels: np.ndarray) -> None:
        self.values = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        self.labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return ``values`` [B, C, T] and ``labels`` [B] of the rows ``indices``."""
        return {"values": self.values[indices], "labels": self.labels[indices]}


def resampled(values: Sequence[np.ndarray], context_length: int) -> np.ndarray:
    """Bring series [C, L] of any lengths to [S, C, T] by linear interpolation, missing values included.

    Short series, too, fill the whole context: padding would leave most of its patches empty. What is known of time is
    the share of the series that has passed, no longer the step. A channel without values stays NaN.
    """
    found = np.full((len(values), len(values[0]), context_length), np.nan, dtype=np.float32)
    for sample, series in enumerate(values):
        places = np.linspace(0, series.shape[1] - 1, context_length)
        for channel, row in enumerate(series):
            known = np.flatnonzero(~np.isnan(row))
            if len(known):
                found[sample, channel] = np.interp(places, known, row[known])
    return found


def split_samples(labels: np.ndarray, validation_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that train and rows that validate: of each class about that share, but never its only sample.

    Raises:
        InputError: no class has two samples.
    """
    generator = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held_out.append(rows[: min(max(1, round(validation_share * len(rows))), len(rows) - 1)])
    validation = np.sort(np.concatenate(held_out))
    if not len(validation):
        raise InputError("Expected at least two samples of some class, found one of each: none is left to validate on.")
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def labelled_data(values: np.ndarray, labels: np.ndarray, validation_share: float, seed: int) -> TrainingData:
    """Return training and validation samples of series [S, C, T] with classes [S]."""
    train, validation = split_samples(labels, validation_share, seed)
    return TrainingData(
        LabelledSeries(values[train], labels[train]), LabelledSeries(values[validation], labels[validation])
    )
