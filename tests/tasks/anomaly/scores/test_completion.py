"""Windows with gaps are completed by the nearest normal window, so that what is missing is no evidence."""

import numpy as np
import pytest

from tests.tiny import tiny_backbone
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores import scorer_named
from tracetune.tasks.anomaly.scores.completion import Completion
from tracetune.tasks.anomaly.scores.neighbour_scorer import NeighbourScorer
from tracetune.tasks.anomaly.scores.scorer import NormalChannel


def switching(length: int) -> np.ndarray:
    """On for 40 steps, off for 40."""
    return (np.arange(length) // 40 % 2).astype(float)


def test_missing_steps_take_the_course_of_the_nearest_window_at_the_level_that_was_observed() -> None:
    normal = np.array([0.0, 1, 4, 9, 4, 1, 0, 2, 0, 2, 0, 2])
    completion = Completion(normal, np.arange(9), 4)
    windows = np.array([[11.0, 14, np.nan, 14], [np.nan, 7, 5, 7], [5.0, 6, 7, 8]])
    found = completion.completed(windows)
    assert found[0].tolist() == [11, 14, 19, 14]
    assert found[1].tolist() == [5, 7, 5, 7]
    assert found[2].tolist() == [5, 6, 7, 8]
    assert np.isnan(windows[0, 2])  # the caller's are left as they are


def test_windows_are_not_completed_by_those_that_overlap_them() -> None:
    normal = np.array([0.0, 5, 0, 0, 0, 0, 1, 1, 1])
    completion = Completion(normal, np.arange(7), 3)
    window = np.array([[0.0, np.nan, 0.0]])
    assert completion.completed(window).tolist() == [[0, 5, 0]]
    assert completion.completed(window, np.array([0])).tolist() == [[0, 0, 0]]
    line = Completion(normal, np.array([1]), 3).completed(np.array([[2.0, np.nan, 4.0]]), np.array([0]))
    assert line.tolist() == [[2, 3, 4]]  # no normal window is left


@pytest.mark.parametrize("name", ["windows", "neighbours"])
def test_gaps_of_any_length_in_a_normal_series_raise_no_score(name: str) -> None:
    """A straight line from on to off is no normal shape, and blocks may begin and end at any phase."""
    scorer = scorer_named(name).fit(NormalChannel(switching(1600)), AnomalyModel(tiny_backbone(), None, 64))
    values = switching(1200)
    values[300:303] = values[500:509] = values[700:760] = np.nan
    values[np.random.default_rng(0).choice(np.arange(900, 1100), 15, replace=False)] = np.nan
    assert np.nanmax(scorer.score(values)) <= 1  # the 0.99 quantile of the normal part
    values[1150:1153] = 0.5
    assert np.nanargmax(scorer.score(values)) > 1000


def test_windows_with_gaps_are_normal_ones_only_where_most_have_some() -> None:
    values = switching(1600)
    values[700:702] = np.nan
    scorer = scorer_named("windows").fit(NormalChannel(values), AnomalyModel(tiny_backbone(), None, 64))
    assert isinstance(scorer, NeighbourScorer)
    for bank in scorer.banks:
        assert not any(start <= 701 and start + bank.width > 700 for start in bank.starts.tolist())
    values[::20] = np.nan
    scorer = scorer_named("windows").fit(NormalChannel(values), AnomalyModel(tiny_backbone(), None, 64))
    assert isinstance(scorer, NeighbourScorer) and all(len(bank.starts) > 100 for bank in scorer.banks)
    assert np.isfinite(scorer.normal_scores).mean() > 0.9
