"""Evaluation of anomaly scores by labels: all metrics of each series, and those of the alarms at the threshold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.panels import Panel, Series
from tracetune.estimators.anomaly.item_scorer import ItemScorer, total
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.evaluation.anomaly.report import METRICS, anomaly_metrics
from tracetune.tasks.anomaly.scores.scaling import Scaling
from tracetune.tasks.anomaly.scores.sliding import dominant_period, window_widths

if TYPE_CHECKING:
    from tracetune.estimators.anomaly.record import Learned

_WITHOUT_PERIOD = 125  # as in TSB-AD's tables; at most a quarter of the steps, or all of them are near an anomaly
_AT_THRESHOLD = ("precision", "recall", "F1", "false alarms")


def evaluate_scores(
    panel: Panel,
    found: Sequence[Scores],
    labels: Sequence[np.ndarray],
    window: int | None,
    items: Sequence[ItemScorer],
) -> pd.DataFrame:
    """Return one row a series and scorer; see ``AnomalyDetector.evaluate``.

    Of series whose labels are of one kind only, all but the share of false alarms is NaN, see `left_out`.

    Raises:
        InputError: labels that cannot be used, named by their series; or no series with both kinds of them.
    """
    if not any(map(has_both, labels)):
        kind = "anomalous" if labels[0].any() else "normal"
        alone = f"only {kind} ones in series {panel.series[0].item_id!r}"
        more = f", nor both in any of the {len(panel) - 1:,} others" if len(panel) > 1 else ""
        raise InputError(
            f"Expected both normal and anomalous steps in at least one series, found {alone}{more}. Scores are "
            "measured by how far they set the two apart: label some steps of each kind."
        )
    rows: list[dict[str, object]] = []
    for series, scores, marked, item in zip(panel, found, labels, items, strict=True):
        if window is not None and window >= len(series):
            raise InputError(
                f"Expected {argument('window')} below the {len(series):,} steps of series {series.item_id!r}, found "
                f"{window:,}."
            )
        steps = _usual_window(series) if window is None else window
        simple = total(np.stack([_z_scores(*pair) for pair in zip(series.values, item.learned.values, strict=True)]))
        scored = {"model": (scores.total, scores.alarm), "moving z-score": (simple, None)}
        for name, (values, alarm) in scored.items():
            row: dict[str, object] = {"item": series.item_id} if len(panel) > 1 else {}
            row |= {"scorer": name, "window": steps}
            row |= _metrics(_without_gaps(values), marked, steps, series.item_id)
            row |= dict.fromkeys(_AT_THRESHOLD, np.nan) if alarm is None else _at_threshold(alarm, marked > 0)
            rows.append(row)
    return pd.DataFrame(rows)


def _usual_window(series: Series) -> int:
    """Return the dominant period of a series in steps; without one what TSB-AD takes, as far as there is room."""
    return dominant_period(series.values[0]) or min(_WITHOUT_PERIOD, len(series) // 4)  # noqa: PD011


def left_out(panel: Panel, labels: Sequence[np.ndarray]) -> list[Remark]:
    """Return a remark for each kind of label that some series have alone: most metrics need both kinds."""
    alone: dict[bool, list[str]] = {False: [], True: []}
    for series, marked in zip(panel, labels, strict=True):
        if not has_both(marked):
            alone[bool(marked.any())].append(series.item_id)
    remarks = []
    for anomalous, names in alone.items():
        if names:
            shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
            holds = "no normal step" if anomalous else "no anomaly"
            counted = "nothing of them is" if anomalous else "of them only false alarms are"
            remarks.append(
                Remark(
                    f"{len(names):,} of {len(panel):,} series have {holds} ({shown}): {counted} counted, since the "
                    "other metrics need both."
                )
            )
    return remarks


def other_labels(learned: "Learned", label_column: str) -> list[Remark]:
    """Return a remark where steps are measured by labels of another column than those that were not learned."""
    if not learned.labelled or label_column == learned.label_column:
        return []
    return [
        Remark(
            f"Steps are measured by the labels in {label_column!r}, as asked for. What was learned left out what "
            f"{learned.label_column!r} calls anomalies: steps that {label_column!r} alone calls so may count as normal."
        )
    ]


def has_both(labels: np.ndarray) -> bool:
    """Return whether labels [T] are of both kinds: what scores are measured by."""
    return bool(labels.any() and not labels.all())


def _metrics(scores: np.ndarray, labels: np.ndarray, window: int, item_id: str) -> dict[str, float]:
    """Return every metric of one series' scores [T], NaN where its labels [T] are of one kind only."""
    if not has_both(labels):
        return dict.fromkeys(METRICS, np.nan)
    try:
        return anomaly_metrics(scores, labels, window)
    except InputError as error:
        raise InputError(f"Series {item_id!r} cannot be measured. {error}") from error


def _at_threshold(alarm: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1 of single steps, and the share of normal steps that raise an alarm.

    NaN is what labels of one kind only do not tell.
    """
    hits, false_alarms = float((alarm & labels).sum()), float(alarm[~labels].mean()) if not labels.all() else np.nan
    if not has_both(labels):
        return dict.fromkeys(_AT_THRESHOLD, np.nan) | {"false alarms": false_alarms}
    return {
        "precision": hits / alarm.sum() if alarm.any() else np.nan,
        "recall": hits / labels.sum(),
        "F1": 2 * hits / (alarm.sum() + labels.sum()),
        "false alarms": false_alarms,
    }


def _without_gaps(scores: np.ndarray) -> np.ndarray:
    """Return scores [T] in which steps without one have the lowest: nothing is said of them."""
    known = np.isfinite(scores)
    return np.where(known, scores, scores[known].min(initial=0.0))


def _z_scores(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the moving mean [T] over a period of the distance to the normal part's mean, in its deviations."""
    distances = pd.Series(np.abs(Scaling.of(normal).scaled(values)))
    return distances.rolling(window_widths(normal)[-1], center=True, min_periods=1).mean().to_numpy()
