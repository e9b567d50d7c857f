"""Scorer "rank_average": several scorers at once, by how rare their scores are among normal ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np

from tracetune.base.errors import InputError, unknown_name
from tracetune.evaluation.anomaly.normal_scores import NormalScores
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores.members import Members, calibration_of, farthest_reach, of_member
from tracetune.tasks.anomaly.scores.scaling import Spread, mean_of_known
from tracetune.tasks.anomaly.scores.scorer import (
    SCORERS,
    Calibration,
    NormalChannel,
    Reads,
    Reference,
    register_scorer,
    scorer_named,
)


@register_scorer
@dataclass(frozen=True)
class RankAverage:
    """The mean over scorers of -log of the share of normal scores that are as high.

    Beyond the highest normal score ranks would all be the same: there the share is that of the tail fitted to them.

    Attributes:
        members: names of scorers.
    """

    members: tuple[str, ...] = ("neighbours", "windows")
    name: ClassVar[str] = "rank_average"

    def __post_init__(self) -> None:
        known = [name for name in SCORERS if name != self.name]
        for member in self.members:
            if member not in known:
                raise unknown_name("scorer", member, known)
        if not self.members:
            raise InputError(f"Expected at least one member, of {', '.join(known)}; found none.")

    @property
    def reads(self) -> Reads:
        """Return the most that a member reads."""
        return max((scorer_named(name).reads for name in self.members), key=get_args(Reads).index)

    @property
    def compares_levels(self) -> bool:
        """Return whether a member does."""
        return any(scorer_named(name).compares_levels for name in self.members)

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> "RankedScorer":
        """Learn the normal part, see `Scorer`."""
        return RankedScorer.of({name: scorer_named(name).fit(of_member(normal, name), model) for name in self.members})


@dataclass(frozen=True)
class RankedScorer:
    """Members' scores as -log of their tail probability, averaged.

    Attributes:
        members: by name.
        normal: of each member, the scores of the normal part.
        spread: of the mean over the normal part.
        normal_scores: [T] scores of the normal part.
    """

    members: Members
    normal: Mapping[str, NormalScores]
    spread: Spread
    normal_scores: np.ndarray

    @classmethod
    def of(cls, members: Members) -> "RankedScorer":
        """Put members together."""
        normal = {name: NormalScores(member.normal_scores) for name, member in members.items()}
        mean = mean_of_known([normal[name].rarity(member.normal_scores) for name, member in members.items()])
        spread = Spread.of(mean)
        return cls(members, normal, spread, spread.scaled(mean))

    @property
    def reach(self) -> int:
        """Return steps of the farthest reaching member."""
        return farthest_reach(self.members)

    @property
    def calibration(self) -> Calibration:
        """Return those of the members, under their names."""
        return calibration_of(self.members)

    def held_out_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part as if it were new, see `ChannelScorer`."""
        return self.together({name: member.held_out_scores() for name, member in self.members.items()})

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [T] of values [T], see `ChannelScorer`."""
        return self.together({name: member.score(values, at, reference) for name, member in self.members.items()})

    def together(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return scores [T] from those [T] of the members."""
        return self.spread.scaled(mean_of_known([self.normal[name].rarity(each) for name, each in scores.items()]))
