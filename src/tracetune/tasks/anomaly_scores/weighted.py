"""A weighted mean of several scorers of one channel."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tracetune.tasks.anomaly_scores.scaling import Spread, mean_of_known
from tracetune.tasks.anomaly_scores.scorer import Calibration, ChannelScorer


@dataclass(frozen=True)
class WeightedScorer:
    """The weighted mean of members' scores, in units of its own spread over the normal part.

    Attributes:
        members: by name.
        weights: of the members, by name, not negative.
        spread: of the weighted mean over the normal part.
        normal_scores: [T] scores of the normal part.
    """

    members: Mapping[str, ChannelScorer]
    weights: Mapping[str, float]
    spread: Spread
    normal_scores: np.ndarray

    @classmethod
    def of(cls, members: Mapping[str, ChannelScorer], weights: Mapping[str, float]) -> "WeightedScorer":
        """Put members together."""
        mean = mean_of_known([each.normal_scores for each in members.values()], [weights[name] for name in members])
        spread = Spread.of(mean)
        return cls(members, weights, spread, spread.scaled(mean))

    @property
    def reach(self) -> int:
        """Return steps of the farthest reaching member."""
        return max(member.reach for member in self.members.values())

    @property
    def calibration(self) -> Calibration:
        """Return those of the members, under their names."""
        return {
            f"{name}.{key}": value for name, member in self.members.items() for key, value in member.calibration.items()
        }

    def score(self, values: np.ndarray, at: int | None = None) -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`."""
        counted = {name: member for name, member in self.members.items() if self.weights[name] > 0}
        scores = [member.score(values, at) for member in counted.values()]
        return self.spread.scaled(mean_of_known(scores, [self.weights[name] for name in counted]))


def of_member(calibration: Calibration | None, name: str) -> Calibration | None:
    """Return the entries of a calibration that are of the member ``name``."""
    if calibration is None:
        return None
    return {key[len(name) + 1 :]: value for key, value in calibration.items() if key.startswith(f"{name}.")}
