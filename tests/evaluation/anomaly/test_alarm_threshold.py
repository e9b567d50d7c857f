"""Alarm thresholds: the stated rate on new scores, independent ones and ones that come in events."""

import numpy as np
import pytest

from tracetune.base.errors import InputError
from tracetune.evaluation.anomaly.alarm_threshold import AlarmThreshold, alarm_threshold

REACH = 40


def in_events(generator: np.random.Generator, steps: int) -> np.ndarray:
    """Return scores in stretches of equal height, as long as windows reach."""
    return np.repeat(generator.exponential(size=steps // REACH), REACH)


def test_independent_scores_exceed_it_at_the_rate() -> None:
    generator = np.random.default_rng(0)
    found = alarm_threshold([generator.exponential(size=5000)], [0], 1e-3)
    assert found.fitted
    assert (found.rows, found.share) == (5000, 0.02)
    assert found.events == pytest.approx(100, abs=5)
    assert (generator.exponential(size=200_000) > found.value).mean() == pytest.approx(1e-3, rel=0.5)


def test_few_events_exceed_it_at_the_rate_too_in_the_mean() -> None:
    """Forty events of forty rows each are not 1,600 rows."""
    generator = np.random.default_rng(1)
    rates = []
    for _ in range(300):
        found = alarm_threshold([in_events(generator, 1600)], [REACH], 0.01)
        rates.append(np.exp(-found.value))  # the share of new exponential scores above it
    assert 0.003 < np.mean(rates) < 0.02


def test_events_of_several_series_count_together() -> None:
    generator = np.random.default_rng(2)
    parts = [in_events(generator, 4000) for _ in range(3)]
    one, all_three = alarm_threshold(parts[:1], [REACH], 0.01), alarm_threshold(parts, [REACH] * 3, 0.01)
    assert all_three.rows == 3 * one.rows
    assert all_three.lowest_rate == all_three.share / all_three.events
    assert all_three.lowest_rate < one.lowest_rate


@pytest.mark.parametrize("events", [1, 2, 3, 4])
def test_fewer_events_than_five_count_as_five_with_their_mean_excess(events: int) -> None:
    """Above a base of 0, which 0.3 of the rows exceed: E times 5 ((0.3 / rate)^(1 / 5) - 1), whatever their number."""
    scores = np.zeros(10 * REACH)
    for place, height in enumerate(np.linspace(2, 4, events)):
        scores[place * 2 * REACH : place * 2 * REACH + REACH // 2] = height
    found = alarm_threshold([scores], [REACH], 0.01)
    assert found.fitted and found.events == events
    mean = 3.0 if events > 1 else 2.0
    assert found.value == pytest.approx(mean * 5 * ((found.share / 0.01) ** 0.2 - 1))
    assert found.value > scores.max()


def test_few_events_do_not_raise_alarms_all_the_time() -> None:
    """Five to seven blocks hold about two events: one row in seven would exceed the highest of them, in the mean."""
    generator = np.random.default_rng(4)
    rates, highest = [], []
    for blocks in (5, 6, 7) * 100:
        scores = in_events(generator, blocks * REACH)
        found = alarm_threshold([scores], [REACH], 0.01)
        assert 1 <= found.events < 5
        rates.append(np.exp(-found.value))
        highest.append(np.exp(-scores.max()))
    assert np.mean(highest) > 0.1 and np.mean(rates) < 0.06


def test_without_events_it_is_the_highest_score() -> None:
    assert alarm_threshold([np.zeros(100)], [5], 1e-3) == AlarmThreshold(0.0, 100, 0, 0.0)
    assert alarm_threshold([np.zeros(100)], [5], 1e-3).lowest_rate is None


def test_it_rises_with_rarity_and_ignores_missing_scores() -> None:
    scores = np.random.default_rng(3).exponential(size=900)
    values = [alarm_threshold([scores], [3], rate).value for rate in (0.2, 0.1, 0.01, 1e-3, 1e-4)]
    assert (np.diff(values) > 0).all()
    gaps = np.insert(scores, 100, np.full(50, np.nan))
    assert alarm_threshold([gaps], [3], 0.01).rows == 900


def test_wrong_use_is_explained() -> None:
    with pytest.raises(InputError, match=r"between 0 and 0.25, found 0.5"):
        alarm_threshold([np.arange(12.0)], [1], 0.5)
    with pytest.raises(InputError, match="found none"):
        alarm_threshold([np.full(3, np.nan)], [1], 0.1)
