"""A weighted mean of several scorers of one channel."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tracetune.tasks.anomaly.scores.members import Members, calibration_of, farthest_reach
from tracetune.tasks.anomaly.scores.scaling import Spread, mean_of_known
from tracetune.tasks.anomaly.scores.scorer import Calibration, Reference


@dataclass(frozen=True)
class WeightedScorer:
    """The weighted mean of members' scores, in units of its own spread over the normal part.

    Attributes:
        members: by name.
        weights: of the members, by name, not negative.
        spread: of the weighted mean over the normal part.
        normal_scores: [T] scores of the normal part.
    """

    members: Members
    weights: Mapping[str, float]
    spread: Spread
    normal_scores: np.ndarray

    @classmethod
    def of(cls, members: Members, weights: Mapping[str, float]) -> "WeightedScorer":
        """Put members together."""
        mean = mean_of_known([each.normal_scores for each in members.values()], [weights[name] for name in members])
        spread = Spread.of(mean)
        return cls(members, weights, spread, spread.scaled(mean))

    @property
    def reach(self) -> int:
        """Return steps of the farthest reaching member."""
        return farthest_reach(self.members)

    @property
    def calibration(self) -> Calibration:
        """Return those of the members, under their names, and the weights in their order."""
        weights = np.array([self.weights[name] for name in self.members])
        return {**calibration_of(self.members), "weights": weights}

    def held_out_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part as if it were new, see `ChannelScorer`."""
        return self._together({name: self.members[name].held_out_scores() for name in self._counted})

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`."""
        return self._together({name: self.members[name].score(values, at, reference) for name in self._counted})

    @property
    def _counted(self) -> list[str]:
        return [name for name in self.members if self.weights[name] > 0]

    def _together(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.spread.scaled(mean_of_known(list(scores.values()), [self.weights[name] for name in scores]))
