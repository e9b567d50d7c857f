"""Guard of fine-tuning: how well a model's scores find anomalies planted in steps that it was not trained on.

A loss says how well a model does what it trains on, rebuilding or telling windows apart. Whether that helps to find
anomalies is another question, which needs no labels either: anomalies of known kinds are planted in the held-out part
(see tasks/anomaly/planted_anomalies.py), and the detector that a model makes, with the scorer that will be used, looks
for them.

Shapes: T steps of a channel, S cases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.evaluation.anomaly.volume import volume_under_surface
from tracetune.evaluation.periods import SampleGroups
from tracetune.tasks.anomaly.hidden_patches import PERIODS
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.planted_anomalies import KINDS, planted
from tracetune.tasks.anomaly.scores.features import EmbeddedShape
from tracetune.tasks.anomaly.scores.gaps import filled_gaps
from tracetune.tasks.anomaly.scores.scaling import Scaling
from tracetune.tasks.anomaly.scores.scorer import ChannelScorer, NormalChannel, Scorer
from tracetune.tasks.anomaly.scores.sliding import window_widths
from tracetune.tasks.task import task_model_of

_MOST_CHANNELS = 4  # then one anomaly in each period of each
_SHORTEST = 4  # steps of an anomaly
_LEAST_CHANGE = 1e-3  # deviations; of a flat stretch turned round nothing is to be found
_TRIES = 3
LARGEST_WINDOW = 32  # of VUS-PR, whose cost grows with it


@dataclass(frozen=True, eq=False)
class Case:
    """A planted anomaly.

    Attributes:
        channel: number of its channel among those that are looked at.
        period: number of the period that it is planted in.
        start: its first step.
        stop: the step behind it.
        values: [T] of the channel with it.
    """

    channel: int
    period: int
    start: int
    stop: int
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A channel of which the last part is held out.

    Attributes:
        values: [T], NaN where missing.
        border: the steps before it train, and are learned as normal.
        longest: steps of the longest anomaly, a period of the channel.
    """

    values: np.ndarray
    border: int
    longest: int


class PlantedGuard:
    """Compares models by 1 - VUS-PR of the held-out part of a channel with one planted anomaly; a case is an anomaly.

    Args:
        channels: whose parts before the border are learned.
        cases: anomalies planted behind the border.
        scorer: what scores.
        contamination: share of the steps that may be anomalous all the same.
    """

    def __init__(
        self, channels: Sequence[HeldOut], cases: Sequence[Case], scorer: Scorer, contamination: float
    ) -> None:
        self.channels = channels
        self.cases = cases
        self.scorer = scorer
        self.contamination = contamination
        self._known: dict[bytes, np.ndarray] = {}  # losses by what the scorer reads of a model
        self._learned: dict[bytes, tuple[AnomalyModel, Sequence[ChannelScorer]]] = {}  # before, likewise

    @property
    def groups(self) -> SampleGroups:
        """Return the period and the channel of each case."""
        found = np.array([(each.period, each.channel) for each in self.cases])
        return SampleGroups(found[:, 0], found[:, 1])

    @property
    def identity(self) -> JsonObject:
        """Return scorer, contamination and anomalies; the series themselves are those that train and validate."""
        return {
            "scorer": self.scorer.name,
            **{name: str(value) for name, value in asdict(self.scorer).items()},
            "contamination": self.contamination,
            "cases": [[each.channel, each.start, each.stop] for each in self.cases],
        }

    def losses(self, model: nn.Module) -> np.ndarray:
        """Return 1 - VUS-PR of each case, [S]; infinite where the model has diverged.

        Models that embed the channels alike have the same losses by a scorer that reads no more of them: these are
        computed once.
        """
        model.eval()
        detecting = task_model_of(model, AnomalyModel)
        embedded = self._embedded(detecting)
        if not np.isfinite(embedded).all():  # scorers may leave out what is not finite
            return np.full(len(self.cases), np.inf)
        if self.scorer.reads == "model":
            return self._measured(detecting, None)
        read = self._read(embedded)
        if read not in self._known:
            self._known[read] = self._measured(*self._learned.pop(read, (detecting, None)))
        return self._known[read].copy()

    def remember(self, model: AnomalyModel, learned: Sequence[ChannelScorer]) -> None:
        """Keep what each channel's part before the border is to the scorer with a model, until that is measured."""
        if self.scorer.reads != "model":
            self._learned[self._read(self._embedded(model))] = model, learned

    def _embedded(self, model: AnomalyModel) -> np.ndarray:
        """Return the channels as the model embeds them, each as one window."""
        shape = EmbeddedShape(model.backbone)
        return torch.cat([shape(filled_gaps(each.values)[None]) for each in self.channels]).numpy()

    def _read(self, embedded: np.ndarray) -> bytes:
        """Return what the scorer reads of a model that embeds the channels so."""
        return embedded.tobytes() if self.scorer.reads == "embeddings" else b""

    def _measured(self, model: AnomalyModel, learned: Sequence[ChannelScorer] | None) -> np.ndarray:
        found = np.empty(len(self.cases))
        for number, channel in enumerate(self.channels):
            scorer = (
                self.scorer.fit(NormalChannel(channel.values[: channel.border], self.contamination), model)
                if learned is None
                else learned[number]
            )
            with model.memory.open():  # cases are like the clean channel but for the anomaly
                clean = _scores(scorer, channel.values, channel.border, len(channel.values))
                for index, case in enumerate(self.cases):
                    if case.channel == number:
                        found[index] = _loss(scorer, channel, case, clean)
        return found


def planted_guard(
    values: Sequence[np.ndarray],
    borders: Sequence[int],
    scorer: Scorer,
    contamination: float,
    model: AnomalyModel,
    seed: int,
) -> PlantedGuard | None:
    """Return a guard that plants anomalies behind the borders; None where no channel has room for them.

    A channel has none where the steps before its border are too few for the scorer.

    Of several channels up to four are looked at, spread over all.

    Args:
        values: one array [C, T] a series, NaN where missing.
        borders: how many first steps of each series train.
        scorer: what scores.
        contamination: share of the steps that may be anomalous all the same.
        model: any that the scorer takes.
        seed: of what is planted.

    Raises:
        InputError: a channel that the scorer cannot learn, whole as it is.
    """
    roomy = [
        HeldOut(row, border, max(window_widths(row[:border])[-1] // 2, 1))
        for array, border in zip(values, borders, strict=True)
        for row in np.asarray(array, float)
        if (array.shape[1] - border) // PERIODS >= _SHORTEST and np.isfinite(row[:border]).any()
    ]
    places = np.unique(np.linspace(0, len(roomy) - 1, _MOST_CHANNELS).round().astype(int)) if roomy else ()
    model.eval()
    fitted = [(roomy[place], _learned(roomy[place], scorer, contamination, model)) for place in places]
    chosen = [channel for channel, learned in fitted if learned is not None]
    if not chosen:
        return None
    generator = np.random.default_rng(seed)
    kinds = [str(each) for each in generator.permutation(sorted(KINDS))]
    each_period = _MOST_CHANNELS // len(chosen)
    cases: list[Case] = []
    for number, channel in enumerate(chosen):
        for period in range(PERIODS):
            first = number * PERIODS * each_period + period * each_period
            turn = [kinds[(first + place) % len(kinds)] for place in range(each_period)]
            cases += _planted_cases(channel, number, period, turn, generator)
    if not cases:
        return None
    guard = PlantedGuard(chosen, cases, scorer, contamination)
    guard.remember(model, [learned for _, learned in fitted if learned is not None])
    return guard


def _learned(channel: HeldOut, scorer: Scorer, contamination: float, model: AnomalyModel) -> ChannelScorer | None:
    """Return the steps before the border, learned; None where they are too few for the scorer.

    Raises:
        InputError: it cannot learn all of the steps either, which it is to do in the end.
    """
    try:
        return scorer.fit(NormalChannel(channel.values[: channel.border], contamination), model)
    except InputError:
        scorer.fit(NormalChannel(channel.values, contamination), model)
        return None


def _planted_cases(
    channel: HeldOut, number: int, period: int, kinds: Sequence[str], generator: np.random.Generator
) -> Iterator[Case]:
    """Yield an anomaly of each kind in one period; none where it would change nothing."""
    borders = np.linspace(channel.border, len(channel.values), PERIODS + 1).round().astype(int)
    first, last = list(pairwise(borders.tolist()))[period]
    deviation = Scaling.of(channel.values[: channel.border]).scale
    longest = int(np.clip(channel.longest, _SHORTEST, last - first))
    for kind in kinds:
        for _ in range(_TRIES):
            steps = int(generator.integers(max(longest // 4, _SHORTEST), longest + 1))
            start = int(generator.integers(first, last - steps + 1))
            values = planted(channel.values, start, start + steps, kind, deviation, generator)
            change = np.abs(values - channel.values)
            if np.isfinite(change).any() and np.nanmax(change) > _LEAST_CHANGE * deviation:
                yield Case(number, period, start, start + steps, values)
                break


def _scores(scorer: ChannelScorer, values: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the scores of steps [first, last); what can have a part in them is scored, and no more."""
    start, stop = max(first - scorer.reach, 0), min(last + scorer.reach, len(values))
    return scorer.score(values[start:stop], start)[first - start : last - start]


def _loss(scorer: ChannelScorer, channel: HeldOut, case: Case, clean: np.ndarray) -> float:
    """Return 1 - VUS-PR of one anomaly; only steps that it can have a part in are scored again."""
    first = max(case.start - scorer.reach, channel.border)
    last = min(case.stop + scorer.reach, len(channel.values))
    scores = clean.copy()
    scores[first - channel.border : last - channel.border] = _scores(scorer, case.values, first, last)
    labels = np.zeros(len(scores), dtype=int)
    labels[case.start - channel.border : case.stop - channel.border] = 1
    known = np.isfinite(scores)
    lowest = scores[known].min() if known.any() else 0.0
    volume, _ = volume_under_surface(np.where(known, scores, lowest), labels, min(channel.longest, LARGEST_WINDOW))
    return 1 - volume
