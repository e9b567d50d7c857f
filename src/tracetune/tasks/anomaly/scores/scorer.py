"""Protocols of scorers: they score the steps of a channel by their distance to its normal part. Names of all scorers.

A scorer is one file: a frozen dataclass with its options, registered with `register_scorer`. Its ``fit`` learns
the normal part of one channel.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass
from typing import ClassVar, Literal, Protocol, TypeVar, get_args

import numpy as np

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import unknown_name
from tracetune.tasks.anomaly.model import AnomalyModel

Calibration = Mapping[str, np.ndarray]
"""Results of a fit on the scores of the normal part, by name; with them a fit need not be computed again."""

EMBEDDED = "embedded."
"""Names of a calibration that hold it are of features of the learned windows: it is whole without them too."""

Reference = Literal["normal", "table"]
"""Compare windows with the normal part alone, or with the other windows of the scored table too."""

Reads = Literal["nothing", "embeddings", "model"]
"""What scores depend on in a model: nothing, its embeddings of windows, or all weights of backbone and head."""


class OtherFeaturesError(ValueError):
    """Features in a calibration are not those that the model gives for the learned windows."""


@dataclass(frozen=True, eq=False)
class NormalChannel:
    """The normal part of one channel, to learn.

    Attributes:
        values: [T], NaN where missing.
        contamination: share of the steps that may be anomalous all the same.
        calibration: of an earlier fit to the same; features of windows in it may be left out (``EMBEDDED``).
    """

    values: np.ndarray
    contamination: float = 0.0
    calibration: Calibration | None = None


class ChannelScorer(Protocol):
    """The normal part of one channel, learned.

    Scores are in units of their spread over the normal part: 0 is the median, 1 the 0.99 quantile.
    """

    @property
    def normal_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part, none compared with itself; NaN where there is none."""
        ...

    @property
    def reach(self) -> int:
        """Return steps: what is farther than this from a step has no part in its score."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Return what `Scorer.fit` takes to come to the same scorer faster."""
        ...

    def held_out_scores(self) -> np.ndarray:
        """Return scores [T] of the normal part as if it were new: what is near a step in time has no part in it.

        Windows next to each other are alike, so that scores of windows that may be compared with their neighbours are
        lower than those of later steps. NaN where the part is too short to hold something out.
        """
        ...

    def score(self, values: np.ndarray, at: int | None = None, reference: Reference = "normal") -> np.ndarray:
        """Return scores [T] of values [T], NaN where there is none; higher is more anomalous.

        Args:
            values: NaN where missing. Windows with short gaps are scored with these interpolated, others are not; a
                step that is in no window with a score has none.
            at: steps from the first one that was learned to the first of ``values``, where these lie on one time axis
                and agree on the steps that they share: learned windows that overlap a window do not count for it.
                None for other values.
            reference: "table" compares windows with those of ``values`` too that they do not overlap.
        """
        ...


class Scorer(Protocol):
    """A way to score; an instance holds the options.

    Attributes:
        name: as in commands and records.
    """

    name: ClassVar[str]

    @property
    def reads(self) -> Reads:
        """Return what scores depend on in a model; models that are alike in it have the same scores."""
        ...

    @property
    def compares_levels(self) -> bool:
        """Return whether a window at a level that was not learned scores high whatever its shape."""
        ...

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def fit(self, normal: NormalChannel, model: AnomalyModel) -> ChannelScorer:
        """Learn the normal part of one channel.

        Args:
            normal: to learn.
            model: to score with.

        Raises:
            InputError: too few values, or a backbone that cannot do what this scorer needs.
            OtherFeaturesError: the calibration has features that another model gave.
        """
        ...


def checked_reference(reference: str) -> str:
    """Return what windows are compared with, as it is.

    Raises:
        InputError: neither the normal part nor the table.
    """
    if reference not in get_args(Reference):
        raise unknown_name("reference", reference, get_args(Reference))
    return reference


SCORERS: dict[str, Callable[..., Scorer]] = {}
S = TypeVar("S", bound=type[Scorer])


def register_scorer(scorer: S) -> S:
    """Make a scorer known by its name (a class decorator)."""
    if scorer.name in SCORERS:
        raise AssertionError(f"scorer {scorer.name!r} is registered twice")
    SCORERS[scorer.name] = checked_fields(scorer)
    return scorer


def scorer_named(name: str, **options: object) -> Scorer:
    """Return the scorer with these options, the others as by default.

    Raises:
        InputError: there is none of this name.
    """
    if name not in SCORERS:
        raise unknown_name("scorer", name, SCORERS)
    return SCORERS[name](**options)
