"""Evaluation of anomaly scores by labels: all metrics of each series, and those of the alarms at the threshold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.panels import Panel
from tracetune.estimators.anomaly.item_scorer import ItemScorer, total
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.evaluation.anomaly.report import anomaly_metrics
from tracetune.tasks.anomaly_scores.neighbour_scorer import window_widths
from tracetune.tasks.anomaly_scores.scaling import Scaling
from tracetune.tasks.anomaly_scores.sliding import dominant_period

_WITHOUT_PERIOD = 125  # as in TSB-AD's tables
_AT_THRESHOLD = ("precision", "recall", "F1", "false alarms")


def evaluate_scores(
    panel: Panel,
    found: Sequence[Scores],
    labels: Sequence[np.ndarray],
    window: int | None,
    items: Sequence[ItemScorer],
) -> pd.DataFrame:
    """Return one row a series and scorer; see ``AnomalyDetector.evaluate``.

    Raises:
        InputError: labels that cannot be used, named by their series.
    """
    rows: list[dict[str, object]] = []
    for series, scores, marked, item in zip(panel, found, labels, items, strict=True):
        if window is not None and window >= len(series):
            raise InputError(
                f"Expected {argument('window')} below the {len(series):,} steps of series {series.item_id!r}, found "
                f"{window:,}."
            )
        steps = window or dominant_period(series.values[0]) or _WITHOUT_PERIOD  # noqa: PD011
        simple = total(np.stack([_z_scores(*pair) for pair in zip(series.values, item.learned.values, strict=True)]))
        scored = {"model": (scores.total, scores.alarm), "moving z-score": (simple, None)}
        for name, (values, alarm) in scored.items():
            row: dict[str, object] = {"item": series.item_id} if len(panel) > 1 else {}
            row |= {"scorer": name, "window": steps}
            try:
                row |= anomaly_metrics(_without_gaps(values), marked, steps)
            except InputError as error:
                raise InputError(f"Series {series.item_id!r} cannot be measured. {error}") from error
            row |= dict.fromkeys(_AT_THRESHOLD, np.nan) if alarm is None else _at_threshold(alarm, marked > 0)
            rows.append(row)
    return pd.DataFrame(rows)


def _at_threshold(alarm: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1 of single steps, and the share of normal steps that raise an alarm."""
    hits = float((alarm & labels).sum())
    return {
        "precision": hits / alarm.sum() if alarm.any() else np.nan,
        "recall": hits / labels.sum(),
        "F1": 2 * hits / (alarm.sum() + labels.sum()),
        "false alarms": float(alarm[~labels].mean()),
    }


def _without_gaps(scores: np.ndarray) -> np.ndarray:
    """Return scores [T] in which steps without one have the lowest: nothing is said of them."""
    known = np.isfinite(scores)
    return np.where(known, scores, scores[known].min(initial=0.0))


def _z_scores(values: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the moving mean [T] over a period of the distance to the normal part's mean, in its deviations."""
    distances = pd.Series(np.abs(Scaling.of(normal).scaled(values)))
    return distances.rolling(window_widths(normal)[-1], center=True, min_periods=1).mean().to_numpy()
