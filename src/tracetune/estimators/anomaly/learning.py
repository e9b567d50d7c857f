"""Learn the normal parts of a panel's items, and where to raise an alarm."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tracetune.base.errors import Remark, argument
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.estimators.anomaly.doubtful_values import value_doubts
from tracetune.estimators.anomaly.item_scorer import ItemScorer, fit_item, total
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.estimators.anomaly.record import Learned
from tracetune.evaluation.anomaly.alarm_threshold import FEWEST_EVENTS, AlarmThreshold, alarm_threshold
from tracetune.evaluation.anomaly.normal_scores import suspicious_stretches
from tracetune.tasks.anomaly.model import AnomalyModel


def learn(
    panel: Panel,
    model: AnomalyModel,
    scoring: NormalScoring,
    trained: Sequence[int] | None = None,
) -> Learned:
    """Learn the normal parts of a panel's items, and where to raise an alarm.

    The threshold is one for all items: their scores are in units of their own spread. It comes from scores of rows as
    if they were new: neither windows near them nor, of a model that was fine-tuned, its training have seen them. Where
    some rows may be anomalous, the same rows are scored later, and it comes from their own scores. So does that of
    rows which are compared with their table as well: windows near them are part of it.

    Args:
        panel: the normal parts.
        model: to score with.
        scoring: by what, and how rare false alarms are to be.
        trained: of each series, how many first steps the model was trained on; None for none.

    Raises:
        InputError: a part that cannot be learned.
    """
    scorer, contamination, rate = scoring.scorer, scoring.contamination, scoring.false_alarm_rate
    names = tuple(map(str, panel.channels))
    items = {each.item_id: fit_item(each, names, scorer, model, contamination) for each in panel}
    remarks, held_out, normal = [], [], []
    for item, seen in zip(items.values(), trained or [0] * len(items), strict=True):
        scores = total(item.normal_scores)
        found, left = suspicious_stretches(scores, item.reach)
        remarks += [_suspicion(item, start, stop) for start, stop in found if contamination == 0]
        left &= np.arange(len(scores)) >= seen
        normal.append(np.where(left, scores, np.nan))
        held_out.append(np.where(left, total(item.held_out_scores()), np.nan))
    reaches = [item.reach for item in items.values()]
    in_table = alarm_threshold(normal, reaches, rate)
    threshold = in_table if contamination else alarm_threshold(held_out, reaches, rate)
    if threshold.guessed and not contamination:
        threshold = replace(threshold, value=_bounded(threshold.value, list(items.values()), held_out))
    if (doubt := _doubt(threshold, rate)) is not None:
        remarks.append(doubt)
    if scorer.compares_levels and not contamination:
        remarks += value_doubts(panel, rate)
    return Learned(
        items=items,
        channels=names,
        scorer=scorer,
        contamination=contamination,
        false_alarm_rate=rate,
        threshold=threshold.value,
        table_threshold=in_table.value,
        freq=panel.freq,
        reading=ReadingOptions.from_json(panel.origin.reading or {}),
        remarks=tuple(remarks),
        calibration=threshold,
    )


def _bounded(guess: float, items: Sequence[ItemScorer], held_out: Sequence[np.ndarray]) -> float:
    """Return a guessed threshold, at most midway from the highest normal score to that of a stretch that stands still.

    Distances of shapes are bounded: a tail that goes on without end may lie above all that any window can score, and
    no stretch that stands still would raise an alarm. Where that scores no more than normal steps the guess stays.
    """
    highest = max(float(np.nanmax(scores, initial=-np.inf)) for scores in held_out)
    for item in items:
        middles = np.nan_to_num(np.nanmedian(item.learned.values, axis=1, keepdims=True))
        still = np.nanmax(item.score(np.repeat(middles, 3 * item.reach, axis=1)), axis=1, initial=-np.inf)
        guess = min([guess, *((still[still > highest] + highest) / 2).tolist()])
    return guess


def _doubt(threshold: AlarmThreshold, rate: float) -> Remark | None:
    """Return a remark where the rows do not support the false-alarm rate; None where they do."""
    if not threshold.fitted:
        return Remark(
            f"{threshold.rows:,} normal scores are too few, or too much alike, to say which score one in "
            f"{1 / rate:,.0f} exceeds: the threshold is the highest of them, {threshold.value:.3g}."
        )
    if threshold.guessed:
        return Remark(
            f"{argument('false_alarm_rate', rate)} is a guess: {threshold.rows:,} normal rows with "
            f"{threshold.events} separate event{'s' if threshold.events > 1 else ''} (high scores apart from each "
            f"other) are too few to tell how high rare ones are, which takes {FEWEST_EVENTS}. The threshold, "
            f"{threshold.value:.3g}, is as high as if there were as many: it may miss anomalies, or be passed by rare "
            f"normal steps. Learn more normal rows, or give {argument('threshold')} to detect."
        )
    if rate * threshold.rows >= 1:
        return None
    lowest = threshold.lowest_rate
    assert lowest is not None, "there is a tail"
    return Remark(
        f"{argument('false_alarm_rate', rate)} cannot be supported by {threshold.rows:,} normal rows with "
        f"{threshold.events} separate events: it is less than one of them. The threshold, {threshold.value:.3g}, is "
        f"extrapolated. Learn at least {math.ceil(1 / rate):,} normal rows, or state a rate of "
        f"{max(lowest, 1 / threshold.rows):.2g} or more."
    )


def _suspicion(item: ItemScorer, start: int, stop: int) -> Remark:
    times = item.learned.timestamps
    return Remark(
        f"The training part of {item.learned.item_id!r} has an anomaly itself, it seems: {_time(times[start])} to "
        f"{_time(times[stop - 1])} ({stop - start} steps). The threshold leaves it out; anomalies like it will not be "
        "found, since it counts as normal. Cut it out of the training part if it is not."
    )


def _time(moment: object) -> str:
    return str(np.datetime_as_string(moment, unit="s")) if isinstance(moment, np.datetime64) else str(moment)
