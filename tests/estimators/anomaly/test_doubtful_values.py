"""Heavy tails and drifting levels of a normal part are found, and others are not."""

import numpy as np
import pytest

from tests.estimators.anomaly.series import season
from tracetune import AnomalyDetector
from tracetune.estimators.anomaly.doubtful_values import drifts, has_heavy_tail


def shares(kind: str, length: int) -> tuple[float, float]:
    """Return how many of 20 series are called heavy-tailed, and how many drifting."""
    found = []
    for seed in range(20):
        rng, steps = np.random.default_rng(seed), np.arange(length)
        values = {
            "heavy tails": rng.standard_t(3, length),
            "noise": rng.normal(size=length),
            "exponential": rng.laplace(size=length),
            "counts": rng.poisson(2 + np.sin(steps / 4), length).astype(float),
            "on and off": (steps // 40 % 2).astype(float),
            "trend": steps / length * 3 + np.sin(steps / 8) + 0.2 * rng.normal(size=length),
            "season": np.sin(2 * np.pi * steps / (length / 3)) + 0.1 * rng.normal(size=length),
        }[kind]
        values[::50] = np.nan
        found.append((has_heavy_tail(values), drifts(values)))
    heavy, drifting = np.mean(found, axis=0)
    return heavy, drifting


@pytest.mark.parametrize("length", [500, 2000])
@pytest.mark.parametrize("kind", ["noise", "exponential", "counts", "on and off", "season"])
def test_light_tails_and_levels_that_recur_are_called_neither(kind: str, length: int) -> None:
    assert max(shares(kind, length)) <= 0.05


def test_heavy_tails_and_trends_are_found() -> None:
    assert shares("heavy tails", 500)[0] >= 0.4 and shares("heavy tails", 2000)[0] == 1
    assert shares("trend", 500)[1] == shares("trend", 2000)[1] == 1


@pytest.mark.parametrize("values", [np.full(900, np.nan), np.ones(900), np.arange(7.0), np.full(900, 1e200)])
def test_series_without_values_or_changes_are_called_neither(values: np.ndarray) -> None:
    assert not has_heavy_tail(values) and not drifts(values)


def test_the_fit_says_so_where_levels_count(base: AnomalyDetector) -> None:
    trend, tails = season(900) + np.arange(900) / 200, np.random.default_rng(1).standard_t(2, 900)
    detector = base.fit(np.stack([trend, tails]), false_alarm_rate=0.01)
    said = " ".join(detector.remarks)
    assert "false_alarm_rate=0.01 may not hold: values of '1' have heavy tails" in said
    assert "the level of '0' drifts" in said and "scorer='windows'" in said
    drifting = next(remark for remark in detector.remarks if "drifts" in remark)
    assert "--rolling 1000" in drifting.for_command_line() and "--scorer windows" in drifting.for_command_line()
    assert not any("may not hold" in remark for remark in base.fit(tails, scorer="windows").remarks)
