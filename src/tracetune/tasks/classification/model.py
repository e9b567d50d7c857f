"""Classification: which of K classes a whole series belongs to.

Shapes: S samples, B batch, C channels, T context, N patches, D width, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device
from tracetune.data.batch_source import BatchSource, spread_rows
from tracetune.data.windows import batches
from tracetune.heads.classification import ClassificationHead
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.heads.series_blocks import SeriesBlocks
from tracetune.heads.solvers.solved_classifier import fit_classifier_head
from tracetune.tasks.classification.pools import POOLS, pooled
from tracetune.tasks.classification.scales import STATISTICS, Scales, encode_scale, shortened, usable_scales
from tracetune.tasks.one_scale import OneScale
from tracetune.tasks.task import Features, LearningRates, Output, TaskModel, TrainingData

_AT_ONCE = 256
_EXAMPLES = 1024  # series that say enough of levels, deviations and thresholds


@dataclass
class ClassificationOutput(Output):
    """Output of a classification model.

    Attributes:
        loss: [] mean of ``sample_losses``; None without labels.
        sample_losses: [B] cross-entropy of each sample.
        logits: [B, K].
    """

    logits: Tensor | None = None


class ClassificationModel(TaskModel):
    """Backbone and classification head.

    Args:
        backbone: encodes series.
        head: from features [B, 1, F] of all scales and of the series itself to logits [B, K].
        channels: C.
        scales: at which series are encoded.
        class_weights: [K] weight of the loss of samples of each class.
        name_or_path: where the backbone comes from.
    """

    labels = ("labels",)

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        channels: int,
        scales: Scales,
        class_weights: tuple[float, ...],
        name_or_path: str = "",
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.channels = channels
        self.scales = scales
        self.class_weights = class_weights

    @property
    def tokens_per_sample(self) -> int:
        """Return C N."""
        return self.channels * sum(self.scales.patches)

    def forward(  # type: ignore[override]
        self,
        values: Tensor,
        labels: Tensor | None = None,
        scale: Tensor | None = None,
        others: Tensor | None = None,
    ) -> ClassificationOutput:
        """Return logits of series [B, C, R] without gaps, and the loss where labels [B] are given.

        With the number of one ``scale`` [B], the same for all samples, it alone is encoded and stands for all of them,
        beside ``others`` [B, K], see `OneScale`.
        """
        assert self.head is not None, "a classifier has a head"
        if scale is None or others is None:
            logits = self.head(self._read(values)).float()
        else:
            number = int(scale[0])
            logits = self.head(self._read_scale(values, number), number).float() + others
        return ClassificationOutput(logits=logits) if labels is None else self.loss(logits, {"labels": labels})

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``tokens`` [B, 1, F], all that the head reads of a series as one token, and labels [B]."""
        return {"tokens": self._read(batch["values"]), "labels": batch["labels"]}

    def _read(self, values: Tensor) -> Tensor:
        """Return features [B, 1, F] of series [B, C, R]: pooled tokens of each scale, then blocks of the series."""
        found = [self._read_scale(values, number) for number in range(len(self.scales.lengths))]
        for block in self._head.series_blocks:
            found.append(block(shortened(values, block.length)).unsqueeze(-2).to(found[0].dtype))
        return torch.cat(found, dim=-1)

    def _read_scale(self, values: Tensor, number: int) -> Tensor:
        return pooled(encode_scale(self.backbone, values, self.scales, number))

    @property
    def _head(self) -> ClassificationHead:
        return cast("ClassificationHead", self.head)  # PEFT's wrapper passes its attributes on

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> ClassificationOutput:
        """Return the cross-entropy of logits [B, K], weighted by class."""
        labels = features["labels"]
        weights = outputs.new_tensor(self.class_weights)[labels]
        losses = weights * functional.cross_entropy(outputs, labels, reduction="none")
        return ClassificationOutput(loss=losses.mean(), sample_losses=losses, logits=outputs)

    def in_training(self, data: TrainingData) -> TrainingData:
        """Return the samples so that each batch is read at one scale; those of the others stay as they are now."""
        if len(self._head.widths) == 1:
            return data
        features = (None, None) if data.features is None else (data.features.train, data.features.validation)
        sources = zip((data.train, data.validation), features, strict=True)
        train, validation = (self._one_scale(source, known) for source, known in sources)
        return TrainingData(train, validation)

    @torch.inference_mode()
    def _one_scale(self, source: BatchSource, features: BatchSource | None) -> OneScale:
        """Return samples of which a step reads one scale; what the head reads of them may be known."""
        assert isinstance(self.head, ClassificationHead)
        self.eval()
        device = module_device(self)
        given = batches(source if features is None else features, _AT_ONCE, device)
        known = (self.features(batch) if features is None else batch for batch in given)
        parts = torch.cat([self.head.by_block(batch["tokens"].float()) for batch in known]).cpu()
        scales = len(self.scales.lengths)
        return OneScale(source, parts[:, :scales], parts[:, scales:].sum(dim=1))

    def cache_obstacle(self) -> str | None:
        """Return that a series takes several passes, where it does."""
        return "series are encoded at several scales" if len(self.scales.lengths) > 1 else None


@dataclass(frozen=True)
class Classification:
    """The task of telling K classes apart.

    Attributes:
        classes: K.
        channels: C.
        context_length: T.
        name_or_path: where the backbone comes from.
        class_weights: [K] weight of the samples of each class; none for 1.
        blocks: of the series itself, with thresholds that were learned, see `having_seen`; None where those of a saved
            model are read.
    """

    classes: int
    channels: int
    context_length: int
    name_or_path: str = ""
    class_weights: tuple[float, ...] = ()
    blocks: SeriesBlocks | None = field(default=None, compare=False)
    name: ClassVar[str] = "classification"
    rates: ClassVar[LearningRates] = LearningRates(adapters=3e-3, weights=5e-5)

    @property
    def default_head(self) -> ClassificationHeadConfig:
        """Return the default head: pooled tokens of four scales and blocks of the series, through one layer."""
        return ClassificationHeadConfig()

    def model(self, backbone: Backbone, head: ClassificationHeadConfig) -> ClassificationModel:
        """Put a new head on a backbone."""
        if not isinstance(head, ClassificationHeadConfig):
            raise InputError(f"Expected a ClassificationHeadConfig as head of a classifier, found {head!r}.")
        scales = usable_scales(backbone, head.scales, self.context_length)
        width = POOLS * self.channels * (backbone.width + STATISTICS)
        widths = (width,) * len(scales.lengths)
        module = ClassificationHead(widths, self.classes, self._blocks(head), head.dropout, head.solver)
        weights = self.class_weights or (1.0,) * self.classes
        return ClassificationModel(backbone, module, self.channels, scales, weights, self.name_or_path)

    def having_seen(self, series: Tensor, head: ClassificationHeadConfig) -> "Classification":
        """Return the task whose new heads have blocks that learned from series [S, C, R] without labels."""
        blocks = self._blocks(head)
        few = spread_rows(len(series), _EXAMPLES, seed=0)
        blocks.learn(shortened(series[few], self.context_length))
        return replace(self, blocks=blocks)

    def _blocks(self, head: ClassificationHeadConfig) -> SeriesBlocks:
        return SeriesBlocks.of(head, self.channels, self.context_length) if self.blocks is None else self.blocks.copy()

    def zero_shot(self, backbone: Backbone) -> None:
        """Return None: no backbone knows the classes."""
        return

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float:
        """Solve the head by ridge regression or support vector machines; returns the validation loss."""
        assert isinstance(model.head, ClassificationHead)
        weights = np.array(self.class_weights) if self.class_weights else None
        fit_classifier_head(model.head, train, weights, model.head.solver)
        with torch.no_grad():
            outputs = [model.loss(model.head(batch["tokens"].float()).float(), batch) for batch in validation]
        losses = [output.sample_losses for output in outputs if output.sample_losses is not None]
        return float(torch.cat(losses).mean())
