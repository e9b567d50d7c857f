"""Anomaly detection: the model that scores, and its training on normal series.

It rebuilds hidden patches of them, or embeds neighbouring windows near each other.

Shapes: B batch, C channels, T context length, N patches, P patch length, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from tracetune.backbones.backbone import Backbone, MaskedBackbone
from tracetune.backbones.normalisation import InstanceStatistics, per_channel
from tracetune.base.errors import InputError
from tracetune.heads.patches import PatchHead, PatchHeadConfig
from tracetune.tasks.anomaly.embedding_memory import EmbeddingMemory
from tracetune.tasks.anomaly.window_embeddings import VIEWS, contrastive_losses, embedded, resampled_steps
from tracetune.tasks.task import Features, Output, TaskModel

RECONSTRUCTION, METRIC = "reconstruction", "metric"
LOSSES = (RECONSTRUCTION, METRIC)
_LABEL = {RECONSTRUCTION: "patch_mask", METRIC: "pull"}
_LARGEST_TARGET = 10.0  # deviations of what is visible: jumps beyond are as bad as this


class AnomalyModel(TaskModel):
    """A backbone that encodes windows, and a head that rebuilds patches which were hidden from it.

    Without a head the backbone rebuilds by itself, where it can. It has two losses, and takes that for which a batch
    has entries: how well hidden patches are rebuilt, and how near each other neighbouring windows are embedded.

    Attributes:
        context_length: T of windows with hidden patches.
        loss_name: of the loss that it trains on.
        memory: of embedded windows, for scorers; closed, but where whoever scores opens it.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module | None,
        context_length: int,
        name_or_path: str = "",
        loss_name: str = RECONSTRUCTION,
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.context_length = context_length
        self.loss_name = loss_name
        self.labels = (_LABEL[loss_name],)
        self.memory = EmbeddingMemory()

    @property
    def tokens_per_sample(self) -> int:
        """Return tokens of one sample: N of a window with hidden patches, those of all views of a neighbourhood."""
        if self.loss_name == METRIC:
            return VIEWS * int(self.backbone.num_patches(resampled_steps(self.backbone)))
        return int(self.backbone.num_patches(self.context_length))

    def cache_obstacle(self) -> str | None:
        """Return why outputs of frozen blocks cannot be kept: neighbourhoods are several windows each."""
        return "a sample is several windows, each encoded by itself" if self.loss_name == METRIC else None

    @property
    def to_patch(self) -> nn.Module | None:
        """Return the map from tokens [..., D] to the steps of their patches [..., P]; None where there is none."""
        if self.head is not None:
            return self.head
        return self.backbone.token_to_patch if isinstance(self.backbone, MaskedBackbone) else None

    def forward(self, **batch: Tensor) -> Output:
        """Return the losses of a batch.

        Args:
            batch: ``values`` and ``input_mask`` [B, 1, T], ``patch_mask`` [B, 1, N]; or ``views`` [B, V, steps] and
                ``pull`` [B, 2], see `contrastive_losses`.
        """
        if "views" in batch:
            return self._metric(batch["views"], batch["pull"])
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

    def _metric(self, views: Tensor, pull: Tensor) -> Output:
        """Return how far neighbouring windows are from each other, among views [B, V, steps]."""
        vectors = embedded(self.backbone, views.flatten(0, 1)).unflatten(0, views.shape[:2])
        losses = contrastive_losses(vectors, pull)
        return Output(loss=losses.mean(), sample_losses=losses)

    def zero_shot_head(self) -> nn.Module | None:
        """Return a head that rebuilds as the backbone does by itself."""
        return PatchHead(self.backbone.token_to_patch) if isinstance(self.backbone, MaskedBackbone) else None


@dataclass(frozen=True)
class AnomalyDetection:
    """The task of learning a normal part.

    Attributes:
        context_length: T of a window with hidden patches, a multiple of the patch length.
        name_or_path: where the backbone comes from.
        loss: to train on: "reconstruction" of hidden patches, or "metric", by which neighbouring windows are near.
    """

    context_length: int
    name_or_path: str = ""
    loss: str = RECONSTRUCTION
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
        return AnomalyModel(backbone, None, self.context_length, self.name_or_path, self.loss)

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> None:
        """Return None: the head starts as the backbone's own, which was trained for this."""


def require_rebuilding(backbone: Backbone) -> None:
    """Raise InputError where a backbone does not rebuild hidden patches."""
    if not isinstance(backbone, MaskedBackbone):
        raise InputError(
            f"Expected a backbone that rebuilds hidden patches, to learn a normal part with it; "
            f"{type(backbone).__name__} does not. Use it as it is: leave the method out."
        )


def normalised_steps(statistics: InstanceStatistics, steps: Tensor) -> Tensor:
    """Return rebuilt steps [B, C, N, P] as values [B, C, N P] in the units of the input."""
    return statistics.denormalise(steps.flatten(2).float())
