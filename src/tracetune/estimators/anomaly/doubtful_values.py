"""Values of a normal part that make a stated rate of false alarms doubtful: heavy tails, and levels that drift.

The rate holds where later rows are like those that were learned. Values with heavy tails go far beyond the largest that
was seen, ever again, and a level that rises or falls will be new: where levels count in a score, both raise alarms that
no threshold of the seen scores can know of.
"""

import math

import numpy as np
from scipy.stats import chi2, kendalltau

from tracetune.base.errors import Remark, argument, either
from tracetune.data.panels import Panel
from tracetune.evaluation.anomaly.thresholds import fit_pareto_tail
from tracetune.tasks.anomaly.scores.sliding import dominant_period

_TAIL_SHARE = 0.2
_FEWEST_EXCESSES = 50
_TAIL_RISK = 0.01  # of calling an exponential tail heavy
_MOST_BLOCKS, _FEWEST_BLOCKS = 20, 7
_SHORTEST_BLOCK = 32
_DRIFT_RISK = 0.01
_LEAST_DRIFT = 0.5  # deviations within blocks
_NAMED = 5


def value_doubts(panel: Panel, false_alarm_rate: float) -> list[Remark]:
    """Return a remark where channels have heavy tails, and one where their levels drift.

    Args:
        panel: the normal parts, scored by what compares levels.
        false_alarm_rate: the stated one.
    """
    several = len(panel) > 1
    channels = [
        (f"{name!r} of {series.item_id!r}" if several else repr(name), row)
        for series in panel
        for name, row in zip(map(str, panel.channels), series.values, strict=True)
    ]
    rate = argument("false_alarm_rate", false_alarm_rate)
    follow = either("detect(..., threshold=RollingQuantile(1000))", "detect --rolling 1000")
    advice = (
        f"Learn more normal rows, let the threshold follow the scores ({follow}), or take "
        f"{argument('scorer', 'windows')}, which compares shapes alone."
    )
    heavy = [name for name, row in channels if has_heavy_tail(row)]
    drifting = [name for name, row in channels if drifts(row)]
    remarks = []
    if heavy:
        remarks.append(
            Remark(
                f"{rate} may not hold: values of {_listed(heavy)} have heavy tails, so that some far beyond all that "
                f"were learned are normal, and each raises an alarm over a whole window. {advice}"
            )
        )
    if drifting:
        remarks.append(
            Remark(
                f"{rate} may not hold: the level of {_listed(drifting)} drifts, so that later rows are at levels that "
                f"were not learned, and raise alarms. {advice}"
            )
        )
    return remarks


def has_heavy_tail(values: np.ndarray) -> bool:
    """Return whether values [T], NaN where missing, are likely to go far beyond the largest of them.

    The fifth of them that is farthest from their median is compared with an exponential tail by the ratio of the
    likelihoods of a generalised Pareto distribution (Grimshaw's fit), whose shape is positive, and that one.
    """
    observed = values[np.isfinite(values)]
    if not len(observed):
        return False
    distances = np.abs(observed - np.median(observed))
    base = np.quantile(distances, 1 - _TAIL_SHARE)
    excesses = distances[distances > base] - base
    if len(excesses) < _FEWEST_EXCESSES or np.ptp(excesses) == 0:
        return False
    tail, mean = fit_pareto_tail(excesses), excesses.mean()
    if tail.shape <= 0:
        return False
    exponential = -len(excesses) * (np.log(mean) + 1)
    pareto = (
        -len(excesses) * np.log(tail.scale) - (1 + 1 / tail.shape) * np.log1p(tail.shape / tail.scale * excesses).sum()
    )
    return bool(2 * (pareto - exponential) > chi2.isf(2 * _TAIL_RISK, 1))


def drifts(values: np.ndarray) -> bool:
    """Return whether the level of values [T], NaN where missing, rises or falls from beginning to end.

    Their means over blocks of whole periods are compared with the order of the blocks (Kendall's tau, 7 to 20 blocks),
    and have to differ by half of the deviation within blocks.
    """
    period = dominant_period(values) or 1
    steps = math.ceil(max(len(values) / _MOST_BLOCKS, _SHORTEST_BLOCK) / period) * period
    blocks = values[: len(values) // steps * steps].reshape(-1, steps)
    blocks = blocks[np.isfinite(blocks).mean(axis=1) > 0.5]
    if len(blocks) < _FEWEST_BLOCKS:
        return False
    means, within = np.nanmean(blocks, axis=1), np.sqrt(np.nanvar(blocks, axis=1).mean())
    if np.ptp(means) <= _LEAST_DRIFT * within or np.ptp(means) == 0:
        return False
    return bool(kendalltau(np.arange(len(means)), means).pvalue < _DRIFT_RISK)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
