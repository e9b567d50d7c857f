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

    def held_out_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part as if it were new, see `ChannelScorer`."""
        return self._together({name: self.members[name].held_out_scores() for name in self._counted})

    def score(self, values: np.ndarray, at: int | None = None) -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`."""
        return self._together({name: self.members[name].score(values, at) for name in self._counted})

    @property
    def _counted(self) -> list[str]:
        return [name for name in self.members if self.weights[name] > 0]

    def _together(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.spread.scaled(mean_of_known(list(scores.values()), [self.weights[name] for name in scores]))


def of_member(calibration: Calibration | None, name: str) -> Calibration | None:
    """Return the entries of a calibration that are of the member ``name``."""
    if calibration is None:
        return None
    return {key[len(name) + 1 :]: value for key, value in calibration.items() if key.startswith(f"{name}.")}
