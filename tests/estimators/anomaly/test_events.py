"""Events: runs of alarms, merged, and narrowed to where the score is near its peak and steps are unlike normal ones."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from tracetune.data.panels import Series
from tracetune.estimators.anomaly.events import Event, alarm_stretches, events_of, wide_events
from tracetune.estimators.anomaly.item_scorer import ItemScorer
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.estimators.anomaly.step_differences import StepDifferences, summed_distances
from tracetune.tasks.anomaly.scores.scorer import ChannelScorer

REACH = 100


def scores(total: list[float], threshold: float = 1.0) -> Scores:
    values = np.array(total)
    series = Series("0", np.arange(len(values)), values[None])
    return Scores(series, values[None], values, np.full(len(values), threshold))


def test_runs_near_each_other_are_one() -> None:
    alarm = np.array([1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert alarm_stretches(alarm, 0) == [(0, 2), (3, 4), (7, 8)]
    assert alarm_stretches(alarm, 1) == [(0, 4), (7, 8)]
    assert alarm_stretches(np.zeros(3, dtype=bool), 1) == []


def test_an_event_is_where_the_score_is_near_its_peak() -> None:
    rising = [0, 2, 4, 6, 8, 10, 8, 6, 4, 2, 0]
    assert wide_events(scores(rising), 0) == [Event(3, 8, 5, (1, 10))]
    assert wide_events(scores(rising, 7.0), 0) == [Event(4, 7, 5, (4, 7))]  # no event begins where there is no alarm


def test_two_peaks_of_one_run_are_one_event_from_the_first_to_the_last() -> None:
    assert wide_events(scores([0, 9, 2, np.nan, 2, 10, 2, 0]), 2) == [Event(1, 6, 5, (1, 7))]


def test_each_run_is_one_event() -> None:
    assert [event.peak for event in wide_events(scores([5, 0, 0, 50, 0, 0, 3]), 1)] == [0, 3, 6]


def test_narrowing_finds_a_planted_anomaly_in_scores_of_sliding_windows() -> None:
    """Windows of 50 steps that touch 10 odd ones score 1, a step the mean of the windows that cover it."""
    odd = np.zeros(400)
    odd[200:210] = 1
    windows = np.lib.stride_tricks.sliding_window_view(odd, 50).max(axis=1)
    total = np.convolve(windows, np.ones(50)) / np.convolve(np.ones_like(windows), np.ones(50))
    (event,) = wide_events(scores(total.tolist(), 0.05), 12)
    run = event.alarms
    assert run[0] < 160 and run[1] > 250
    assert 180 <= event.start <= 200 and 210 <= event.stop <= 230


def wave(steps: np.ndarray, seed: int) -> np.ndarray:
    return np.sin(2 * np.pi * steps / 50) + 0.1 * np.random.default_rng(seed).normal(size=len(steps))


def item(*normal: np.ndarray) -> ItemScorer:
    """Return a learned item of which only the reach and the values count; nothing scores."""

    values = np.stack(normal)
    return ItemScorer(
        Series("0", np.arange(values.shape[1]), values),
        (cast(ChannelScorer, SimpleNamespace(reach=REACH)),) * len(values),
    )


def around(values: np.ndarray, odd: tuple[int, int]) -> Scores:
    """Return scores of a series that are high within a reach of its odd steps, as those of windows are."""
    steps = np.arange(values.shape[1])
    total = np.clip(1.5 - np.abs(steps - np.mean(odd)) / REACH, 0, None) * 4
    return Scores(Series("new", 9000 + steps, values), np.stack([total] * len(values)), total, np.full(len(steps), 1.0))


@pytest.mark.parametrize(("first", "stop"), [(500, 501), (500, 503)])
def test_an_event_is_as_long_as_the_level_that_is_odd(first: int, stop: int) -> None:
    values = wave(np.arange(3000, 4000), 1)
    values[first:stop] += 5
    (event,) = events_of(around(values[None], (first, stop)), item(wave(np.arange(2000), 0)))
    assert (event.start, event.stop) == (first, stop)
    assert first <= event.peak < stop and event.alarms[0] < first < stop < event.alarms[1]


@pytest.mark.parametrize("learned", [500, 2000])
def test_an_event_around_a_longer_level_holds_it_alone(learned: int) -> None:
    """By squared differences windows with it were nearest to others at another phase: the event had 77 to 94 steps."""
    values = wave(np.arange(3000, 4000), 1)
    values[490:510] += 2
    (event,) = events_of(around(values[None], (490, 510)), item(wave(np.arange(learned), 0)))
    assert abs(event.start - 490) <= 2 and abs(event.stop - 510) <= 2


def test_rows_that_drifted_are_not_all_odd() -> None:
    """By raw values every step differed from the normal part: the event had 121 steps."""
    values = wave(np.arange(3000, 4000), 1) + 3
    values[490:510] += 2
    (event,) = events_of(around(values[None], (490, 510)), item(wave(np.arange(2000), 0)))
    assert event.start == 490 and 510 <= event.stop <= 530


def test_a_shift_that_lasts_is_odd_from_where_it_begins() -> None:
    values = wave(np.arange(3000, 4000), 1)
    values[500:] += 5
    (event,) = events_of(around(values[None], (500, 501)), item(wave(np.arange(2000), 0)))
    assert event.start == 500 and event.stop > 520


@pytest.mark.parametrize(("apart", "events"), [(REACH // 2, 1), (REACH // 2 + 2, 2)])
def test_odd_steps_far_apart_are_events_of_their_own_in_one_run_of_alarms(apart: int, events: int) -> None:
    values = wave(np.arange(3000, 4000), 1)
    values[[500, 500 + apart]] += 5
    found = events_of(around(values[None], (500, 501 + apart)), item(wave(np.arange(2000), 0)))
    assert [each.start for each in found] == [500, 500 + apart][:events]
    assert found[-1].stop == 501 + apart and len({each.alarms for each in found}) == 1


def test_every_channel_says_where_an_event_lies() -> None:
    values = np.stack([wave(np.arange(3000, 4000), 1), 1000 * wave(np.arange(3000, 4000), 2)])
    values[0, 495] += 5
    values[1, 503] -= 5000
    normal = wave(np.arange(2000), 0), 1000 * wave(np.arange(2000), 5)
    (event,) = events_of(around(values, (495, 504)), item(*normal))
    assert (event.start, event.stop) == (495, 504)


def test_scores_in_the_thousands_of_one_channel_hide_no_other_one() -> None:
    """A constant channel that changes scores in ten-thousandths; what was odd in another one was left out."""
    values = np.stack([wave(np.arange(3000, 4000), 1), np.ones(1000)])
    values[0, 600:610] += 5
    values[1, 500:510] += 0.5
    one, other = around(values[:1], (600, 610)), around(values[1:], (500, 510))
    channels = np.concatenate([one.channels, 1e4 * other.channels])
    scored = replace(one, series=replace(one.series, values=values), channels=channels, total=channels.max(0))
    found = events_of(scored, item(wave(np.arange(2000), 0), np.ones(2000)))
    assert [(each.start, each.stop) for each in found] == [(500, 510), (600, 610)]


def test_an_event_without_odd_steps_is_where_scores_are_high() -> None:
    scored = around(np.sin(2 * np.pi * np.arange(1000) / 50)[None], (500, 501))
    assert events_of(scored, item(wave(np.arange(2000), 0))) == wide_events(scored, REACH // 4)


def test_missing_steps_are_no_part_of_what_is_odd() -> None:
    values = wave(np.arange(3000, 4000), 1)
    values[500:503] += 5
    values[[498, 505]] = np.nan
    (event,) = events_of(around(values[None], (500, 503)), item(wave(np.arange(2000), 0)))
    assert (event.start, event.stop) == (500, 503)
    nothing = np.full(1000, np.nan)
    scored = around(nothing[None], (500, 503))
    assert events_of(scored, item(wave(np.arange(2000), 0))) == wide_events(scored, REACH // 4)


def test_learned_steps_are_not_compared_with_themselves() -> None:
    values = wave(np.arange(2000), 0)
    values[1000:1003] += 5
    same = StepDifferences(values, REACH).of(values, 950, 1050, 0, (900, 1100))
    assert np.flatnonzero(same > 0.5).tolist() == [50, 51, 52]
    as_if_new = StepDifferences(values, REACH).of(values, 950, 1050, None, (900, 1100))
    assert np.nanmax(as_if_new) < 0.1 * np.nanmax(same)


def test_differences_are_those_of_the_nearest_windows() -> None:
    """By hand: mean absolute difference of the windows that cover a step from the nearest of all normal ones.

    The nearest has the smallest sum of the distances of eighths.
    """
    generator = np.random.default_rng(3)
    normal, values = generator.normal(size=160), generator.normal(size=90)
    found = StepDifferences(normal, 8)
    location, scale = normal.mean(), normal.std()
    bank = np.lib.stride_tricks.sliding_window_view((normal - location) / scale, found.width)
    windows = np.lib.stride_tricks.sliding_window_view((values - location) / scale, found.width)
    apart = (windows[:, None] - bank[None]).reshape(len(windows), len(bank), 8, 1)
    nearest = bank[np.linalg.norm(apart, axis=3).sum(2).argmin(1)]
    sums, counts = np.zeros(90), np.zeros(90)
    for start, row in enumerate(np.abs(windows - nearest)):
        sums[start : start + found.width] += row
        counts[start : start + found.width] += 1
    assert found.width == 8
    np.testing.assert_allclose(found.of(values, 20, 60, None, (0, 90)) * found.usual, (sums / counts)[20:60])


@pytest.mark.parametrize("width", [3, 13, 64])
def test_summed_distances_are_those_of_the_eighths(width: int) -> None:
    """Of more windows than a tile holds, and not of a whole number of tiles."""
    generator = np.random.default_rng(0)
    windows, bank = generator.normal(size=(140, width)), generator.normal(size=(520, width))
    eighths = np.array_split(np.arange(width), min(8, width))
    apart = windows[:, None] - bank
    expected = sum(np.linalg.norm(apart[:, :, steps], axis=2) for steps in eighths)
    np.testing.assert_allclose(summed_distances(windows, bank), expected, atol=1e-7)
    assert summed_distances(windows, windows).diagonal().max() < 1e-6


@pytest.mark.parametrize("normal", [np.ones(7), np.arange(9.0), np.r_[np.full(40, np.nan), 1.0], np.full(30, 2.5)])
def test_parts_that_are_short_flat_or_missing_say_something_finite_or_nothing(normal: np.ndarray) -> None:
    found = StepDifferences(normal, REACH).of(
        np.r_[normal, 9.0, normal], 0, 2 * len(normal) + 1, None, (0, len(normal))
    )
    assert len(found) == 2 * len(normal) + 1 and not np.isinf(found).any()
