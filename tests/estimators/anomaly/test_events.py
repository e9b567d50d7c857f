"""Events: runs of alarms, merged, and narrowed to where the score is near its peak."""

import numpy as np

from tracetune.data.panels import Series
from tracetune.estimators.anomaly.events import Event, alarm_runs, events_of
from tracetune.estimators.anomaly.series_scores import Scores


def scores(total: list[float], threshold: float = 1.0) -> Scores:
    values = np.array(total)
    series = Series("0", np.arange(len(values)), values[None])
    return Scores(series, values[None], values, np.full(len(values), threshold))


def test_runs_near_each_other_are_one() -> None:
    alarm = np.array([1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert alarm_runs(alarm, 0) == [(0, 2), (3, 4), (7, 8)]
    assert alarm_runs(alarm, 1) == [(0, 4), (7, 8)]
    assert alarm_runs(np.zeros(3, dtype=bool), 1) == []


def test_an_event_is_where_the_score_is_near_its_peak() -> None:
    rising = [0, 2, 4, 6, 8, 10, 8, 6, 4, 2, 0]
    assert events_of(scores(rising), 0) == [Event(3, 8, 5, (1, 10))]
    assert events_of(scores(rising, 7.0), 0) == [Event(4, 7, 5, (4, 7))]  # no event begins where there is no alarm


def test_two_peaks_of_one_run_are_one_event_from_the_first_to_the_last() -> None:
    assert events_of(scores([0, 9, 2, np.nan, 2, 10, 2, 0]), 2) == [Event(1, 6, 5, (1, 7))]


def test_each_run_is_one_event() -> None:
    assert [event.peak for event in events_of(scores([5, 0, 0, 50, 0, 0, 3]), 1)] == [0, 3, 6]


def test_narrowing_finds_a_planted_anomaly_in_scores_of_sliding_windows() -> None:
    """Windows of 50 steps that touch 10 odd ones score 1, a step the mean of the windows that cover it."""
    odd = np.zeros(400)
    odd[200:210] = 1
    windows = np.lib.stride_tricks.sliding_window_view(odd, 50).max(axis=1)
    total = np.convolve(windows, np.ones(50)) / np.convolve(np.ones_like(windows), np.ones(50))
    (event,) = events_of(scores(total.tolist(), 0.05), 12)
    run = event.alarms
    assert run[0] < 160 and run[1] > 250
    assert 180 <= event.start <= 200 and 210 <= event.stop <= 230
