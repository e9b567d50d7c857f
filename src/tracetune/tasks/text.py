"""Text classification: which of K classes a text, or a pair of texts, belongs to.

Shapes: S samples, B batch, N tokens, D width, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.backbones.text_encoder import TextEncoder, padded
from tracetune.base.errors import InputError, argument
from tracetune.heads.head import is_head
from tracetune.heads.pooled import FIRST, PooledHead, PooledHeadConfig
from tracetune.heads.solvers.logistic import fit_logistic
from tracetune.tasks.task import Features, LearningRates, Output, TaskModel


@dataclass
class TextOutput(Output):
    """Output of a text classifier.

    Attributes:
        loss: [] mean of ``sample_losses``; None without labels.
        sample_losses: [B] cross-entropy of each sample.
        logits: [B, K].
    """

    logits: Tensor | None = None


class TextModel(TaskModel):
    """Encoder, pooling and one linear layer.

    Args:
        backbone: encodes token numbers.
        head: from pooled vectors [B, N', D] to logits [B, K].
        pooling: how tokens become these vectors.
        longest: most tokens of a text.
        class_weights: [K] weight of the loss of samples of each class.
        name_or_path: where the encoder comes from.
    """

    labels = ("labels",)

    def __init__(
        self,
        backbone: TextEncoder,
        head: nn.Module,
        pooling: PooledHeadConfig,
        longest: int,
        class_weights: tuple[float, ...],
        name_or_path: str = "",
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.pooling = pooling
        self.longest = longest
        self.class_weights = class_weights

    @property
    def tokens_per_sample(self) -> int:
        """Return the most tokens of a text."""
        return self.longest

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> TextOutput:
        """Return logits of token numbers [B, N], and the loss where labels [B] are given."""
        assert self.head is not None, "a classifier has a head"
        logits = self.head(self._vectors(input_ids, attention_mask, token_type_ids)).float()
        return TextOutput(logits=logits) if labels is None else self.loss(logits, {"labels": labels})

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return pooled vectors as ``tokens`` [B, N', D], and labels [B]."""
        tokens = self._vectors(batch["input_ids"], batch["attention_mask"], batch.get("token_type_ids"))
        return {"tokens": tokens, "labels": batch["labels"]}

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> TextOutput:
        """Return the cross-entropy of logits [B, K], weighted by class."""
        labels = features["labels"]
        weights = outputs.new_tensor(self.class_weights)[labels]
        losses = weights * functional.cross_entropy(outputs, labels, reduction="none")
        return TextOutput(loss=losses.mean(), sample_losses=losses, logits=outputs)

    def _vectors(self, numbers: Tensor, attended: Tensor, types: Tensor | None) -> Tensor:
        tokens = self.backbone.encode(numbers.unsqueeze(1), attended, None, types).tokens.squeeze(1)
        return self.pooling.pooled(tokens, attended)


@dataclass(frozen=True)
class TextClassification:
    """The task of telling K classes of texts apart.

    Attributes:
        classes: K.
        longest: most tokens of a text.
        name_or_path: where the encoder comes from.
        class_weights: [K] weight of the samples of each class; none for 1.
    """

    classes: int
    longest: int
    name_or_path: str = ""
    class_weights: tuple[float, ...] = ()
    name: ClassVar[str] = "text"
    rates: ClassVar[LearningRates] = LearningRates(adapters=2e-3, weights=5e-5)

    @property
    def default_head(self) -> PooledHeadConfig:
        """Return the mean over the tokens, then one layer."""
        return PooledHeadConfig()

    def model(self, backbone: TextEncoder, head: PooledHeadConfig) -> TextModel:
        """Put a new head on an encoder."""
        if not isinstance(head, PooledHeadConfig):
            raise InputError(f"Expected a PooledHeadConfig as head of a text classifier, found {head!r}.")
        if head.pooling == FIRST and not backbone.first_token_sees:
            raise InputError(
                f"Expected {argument('pooling', 'mean')} with a decoder ({type(backbone.model).__name__}), found "
                f"{FIRST!r}: its first token does not see the others, so that all texts would look alike."
            )
        module = PooledHead(head.vectors * backbone.width, self.classes, head.dropout)
        weights = self.class_weights or (1.0,) * self.classes
        return TextModel(backbone, module, head, self.longest, weights, self.name_or_path)

    def zero_shot(self, backbone: TextEncoder) -> None:
        """Return None: no encoder knows the classes."""
        return

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float:
        """Solve the head by logistic regression; returns the validation loss."""
        assert is_head(model.head)
        weights = np.array(self.class_weights) if self.class_weights else None
        return fit_logistic(model.head, train, validation, weights).validation_loss


class LabelledTexts:
    """Tokenised texts with their classes, as a data set that hands out whole batches, padded to their longest text.

    Args:
        named: token numbers of each text, and token types where the encoder has them.
        labels: [S] numbers of classes, from 0.
        padding: token number that fills up short texts.
    """

    def __init__(self, named: Mapping[str, Sequence[list[int]]], labels: np.ndarray, padding: int) -> None:
        self.named = named
        self.labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
        self.padding = padding

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` (and ``token_type_ids``) [B, N] and ``labels`` [B]."""
        chosen = {name: [lists[index] for index in indices] for name, lists in self.named.items()}
        return {**padded(chosen, self.padding), "labels": self.labels[indices]}

    @property
    def lengths(self) -> list[int]:
        """Return the tokens of each text [S]."""
        return [len(numbers) for numbers in self.named["input_ids"]]

    @property
    def longest(self) -> int:
        """Return the tokens of the longest text."""
        return max(self.lengths)

    def order(self) -> np.ndarray:
        """Return the rows [S], those of short texts first: neighbours pad one another little."""
        return np.argsort(self.lengths, kind="stable")

    def by_length(self, rows: np.ndarray) -> "LabelledTexts":
        """Return the texts ``rows`` in the order of their lengths."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[rows] = True
        ordered = [row for row in self.order().tolist() if chosen[row]]
        named = {name: [lists[row] for row in ordered] for name, lists in self.named.items()}
        return LabelledTexts(named, self.labels[ordered].numpy(), self.padding)
