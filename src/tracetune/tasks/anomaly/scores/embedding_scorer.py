"""Scorer "neighbours": distances of patch embeddings, and of levels, to the nearest normal windows."""

from dataclasses import dataclass
from typing import ClassVar

from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.features import EmbeddedShape
from tracetune.tasks.anomaly.scores.neighbour_scorer import require_windows
from tracetune.tasks.anomaly.scores.scorer import NormalChannel, Reads, register_scorer
from tracetune.tasks.anomaly.scores.shape_and_level import fit_shape_and_level
from tracetune.tasks.anomaly.scores.weighted import WeightedScorer


@register_scorer
@dataclass(frozen=True)
class Neighbours:
    """Shape by the backbone's embeddings, level by mean, deviation and extremes.

    Attributes:
        widths: of windows in steps; None for one and two periods of each channel.
        neighbours: how many nearest windows a distance is averaged over.
    """

    widths: tuple[int, ...] | None = None
    neighbours: int = 3
    name: ClassVar[str] = "neighbours"
    reads: ClassVar[Reads] = "embeddings"
    compares_levels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_windows(self.widths, self.neighbours)

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> WeightedScorer:
        """Learn the normal part, see `Scorer`."""
        shape = EmbeddedShape(model.backbone, model.memory)
        return fit_shape_and_level(normal, shape, self.widths, neighbours=self.neighbours)
