"""Scorer "windows": distances of windows as they are to the nearest normal windows; no model, and no level."""

from dataclasses import dataclass
from typing import ClassVar

from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.features import RawShape
from tracetune.tasks.anomaly.scores.neighbour_scorer import NeighbourScorer, fit_neighbour_scorer, require_windows
from tracetune.tasks.anomaly.scores.scorer import NormalChannel, Reads, register_scorer


@register_scorer
@dataclass(frozen=True)
class Windows:
    """Shape by z-normalised windows, as a matrix profile compares them.

    Attributes:
        widths: of windows in steps; None for one and two periods of each channel.
        neighbours: how many nearest windows a distance is averaged over.
    """

    widths: tuple[int, ...] | None = None
    neighbours: int = 3
    name: ClassVar[str] = "windows"
    reads: ClassVar[Reads] = "nothing"
    compares_levels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_windows(self.widths, self.neighbours)

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> NeighbourScorer:
        """Learn the normal part, see `Scorer`; the model is not used."""
        return fit_neighbour_scorer(normal, RawShape(), self.widths, neighbours=self.neighbours)
