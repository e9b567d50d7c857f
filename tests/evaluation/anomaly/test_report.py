"""Metrics of anomaly scores against the values of TSB-AD, and against slow forms of their definitions."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.evaluation.anomaly import anomaly_metrics
from tracetune.evaluation.anomaly.affiliation import affiliation
from tracetune.evaluation.anomaly.oracle import event_f1, point_adjusted_f1, standard_f1
from tracetune.evaluation.anomaly.volume import volume_under_surface


def labelled(length: int, *runs: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(length, int)
    for start, stop in runs:
        labels[start:stop] = 1
    return labels


def cases() -> Iterator[tuple[str, np.ndarray, np.ndarray, int, list[float]]]:
    """Name, scores, labels, window; VUS-PR, VUS-ROC, AUC-PR, AUC-ROC, Affiliation-F1 as TSB-AD gives them."""
    scores = np.array([0.1, 0.2, 0.1, 0.3, 0.9, 0.8, 0.2, 0.1, 0.15, 0.1, 0.05, 0.2])
    yield "A", scores, labelled(12, (4, 6)), 3, [1.0, 1.0, 1.0, 1.0, 1.0]
    scores = np.array([0.1, 0.2, 0.1, 0.3, 0.2, 0.25, 0.9, 0.8, 0.15, 0.1, 0.05, 0.12])
    values = [0.5407363559339252, 0.8174575247183942, 0.2916666666666666, 0.675, 0.862599206349206]
    yield "B", scores, labelled(12, (4, 6)), 4, values
    scores = np.array([0.05, 0.1, 0.9, 0.7, 0.1, 0.2, 0.3, 0.15, 0.25, 0.4, 0.1, 0.05, 0.35, 0.1, 0.2, 0.1])
    values = [0.627359720244238, 0.7536049276038705, 0.6651785714285714, 0.7395833333333334, 0.7673796791443844]
    yield "C", scores, labelled(16, (2, 4), (13, 15)), 4, values
    scores = np.zeros(20)
    scores[[5, 11]] = 1
    values = [0.5, 0.9736842105263158, 0.5, 0.9736842105263158, 0.8321167883211673]
    yield "D", scores, labelled(20, (5, 6)), 2, values
    scores = np.random.RandomState(0).rand(40)
    scores[9:12] += 0.5
    scores[26] += 0.7
    values = [0.7174800681779548, 0.8913733876179532, 0.663587801087801, 0.8359375, 0.9058202031013498]
    yield "E", scores.round(4), labelled(40, (8, 13), (25, 28)), 6, values
    scores = np.random.RandomState(7).rand(200)
    scores[88:101] += 0.4
    scores[0:3] += 0.6
    values = [0.5835071921969547, 0.8814190035521602, 0.5207539778038968, 0.826403024134923, 0.7974889497788127]
    yield "F", scores.round(4), labelled(200, (0, 5), (90, 100), (196, 200)), 20, values
    # Ties, a window longer than the series, anomalies at both ends and side by side.
    scores = np.random.RandomState(3).rand(60).round(1)
    values = [0.9056091828995825, 0.9594120390103409, 0.20943246381277486, 0.5164930555555556, 0.8111308724655018]
    yield "G", scores, labelled(60, (0, 3), (20, 26), (27, 29), (59, 60)), 90, values
    # Negative scores; all but the first and the last step are anomalous.
    scores = -np.random.RandomState(4).standard_exponential(30).round(4)
    values = [0.9916819010705613, 0.9039406695019987, 0.9657760788092504, 0.6428571428571429, 0.9801979966844888]
    yield "H", scores, labelled(30, (1, 29)), 12, values
    # Seven steps, the last one anomalous.
    values = [0.4150092097755532, 0.7206618507849731, 0.3333333333333333, 0.6666666666666667, 0.7719298245614031]
    yield "I", np.random.RandomState(5).rand(7).round(2), labelled(7, (6, 7)), 7, values
    # Alarms of one height.
    values = [0.22548169761677891, 0.6413281603230537, 0.16, 0.6333333333333333, 0.6428939236556143]
    scores = np.where(np.arange(50) % 7 == 0, 1.0, 0.0)
    yield "J", scores, labelled(50, (13, 15), (16, 17), (48, 50)), 9, values


@pytest.mark.parametrize(("name", "scores", "labels", "window", "expected"), cases(), ids=lambda value: str(value)[:1])
def test_values_of_the_reference(
    name: str, scores: np.ndarray, labels: np.ndarray, window: int, expected: list[float]
) -> None:
    found = anomaly_metrics(scores, labels, window)
    names = ("VUS-PR", "VUS-ROC", "AUC-PR", "AUC-ROC", "Affiliation-F1")
    assert [found[metric] for metric in names] == pytest.approx(expected, abs=1e-9), name


def test_the_other_values_of_the_reference() -> None:
    """Oracle F1 scores (TSB-AD adds 1e-5 to the denominator of the first), and a window of zero steps."""
    given = {name: (scores, labels) for name, scores, labels, _, _ in cases()}
    oracles = {"B": (0.5, 0.5714286, 0.5), "E": (0.6315790, 0.9411765, 0.8888889)}
    for name, values in oracles.items():
        found = anomaly_metrics(*given[name], 0)
        assert [found[metric] for metric in ("Standard-F1", "PA-F1", "Event-F1")] == pytest.approx(values, abs=1e-6)
    for name, value in (("C", 0.5089286), ("E", 0.6417128), ("F", 0.4597479)):
        assert volume_under_surface(*given[name], 0)[0] == pytest.approx(value, abs=1e-7)


def slow_volumes(scores: np.ndarray, labels: np.ndarray, window: int) -> tuple[float, float]:
    """Volumes by loops over windows, thresholds and segments."""
    runs = [
        (int(run[0]), int(run[-1])) for run in np.split(np.arange(len(labels)), np.flatnonzero(np.diff(labels)) + 1)
    ]
    runs = [run for run in runs if labels[run[0]]]
    positions = np.linspace(0, len(scores) - 1, 250).astype(int)
    areas = []
    for width in range(window + 1):
        reach = width // 2
        soft = labels.astype(float)
        for first, last in runs:
            for away in range(1, reach + 1):
                for step in (first - away, last + away):
                    if 0 <= step < len(soft):
                        soft[step] += np.sqrt(1 - away / width)
        soft = np.minimum(soft, 1)
        zones = [list(runs[0])]
        for first, last in runs[1:]:
            if zones[-1][1] + reach < first - reach:
                zones.append([first, last])
            else:
                zones[-1][1] = last
        curve = [(0.0, 0.0, 1.0)]
        for position in positions:
            predicted = scores >= np.sort(scores)[::-1][position]
            hits = (soft * predicted).sum()
            positive = (2 * labels.sum() + (soft * predicted)[labels == 0].sum()) / 2
            found = np.mean([predicted[max(a - reach, 0) : b + reach + 1].any() for a, b in zones])
            recall = min(hits / positive, 1) * found
            false_alarms = (predicted.sum() - hits) / (len(soft) - positive)
            curve.append((recall, false_alarms, hits / predicted.sum()))
        recall, false_alarms, precision = np.array(curve).T
        area = np.sum(np.diff(recall) * precision[1:])
        recall, false_alarms = np.append(recall, 1), np.append(false_alarms, 1)
        areas.append((area, np.sum(np.diff(false_alarms) * (recall[1:] + recall[:-1]) / 2)))
    return tuple(np.mean(areas, 0))


@settings(max_examples=40)
@given(st.integers(4, 60), st.integers(0, 9), st.integers(0, 2**31), st.integers(1, 4))
def test_volumes_are_those_of_the_definition(length: int, window: int, seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(length).round(decimals)  # with ties
    labels = (rng.random(length) < rng.uniform(0.05, 0.6)).astype(int)
    labels[:2] = (0, 1)
    assert volume_under_surface(scores, labels, window) == pytest.approx(slow_volumes(scores, labels, window), abs=1e-9)


def monte_carlo_affiliation(predicted: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Precision and recall on a fine grid of points, from the definition."""
    fine = 64
    grid = np.arange(fine * len(labels)) / fine + 0.5 / fine
    truth, alarm = np.repeat(labels, fine).astype(bool), np.repeat(predicted, fine).astype(bool)
    runs = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]]))).reshape(-1, 2)
    borders = [0.0, *((runs[:-1, 1] + runs[1:, 0]) / 2), float(len(labels))]
    precisions, recalls = [], []
    for (start, stop), left, right in zip(runs, borders[:-1], borders[1:], strict=True):
        zone = (grid > left) & (grid < right)
        uniform = grid[zone]
        to_anomaly = np.maximum(np.maximum(start - uniform, uniform - stop), 0)
        alarms = grid[zone & alarm]
        if len(alarms):
            distance = np.maximum(np.maximum(start - alarms, alarms - stop), 0)
            farther = (to_anomaly[None] > distance[:, None]).mean(1)
            precisions.append(np.where(distance > 0, farther, 1).mean())
        points = grid[zone & truth]
        if not len(alarms):
            recalls.append(0.0)
            continue
        nearest = np.abs(points[:, None] - alarms[None]).min(1)
        inside = alarm[zone & truth]
        farther = (np.abs(uniform[None] - points[:, None]) > nearest[:, None]).mean(1)
        recalls.append(np.where(inside, 1, farther).mean())
    return float(np.mean(precisions)), float(np.mean(recalls))


@settings(max_examples=25)
@given(st.integers(5, 24), st.integers(0, 2**31))
def test_affiliation_is_that_of_the_definition(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, labels = (rng.random((2, length)) < 0.25).astype(int)
    predicted[2], predicted[3], labels[:2] = 1, 0, (0, 1)
    assert affiliation(predicted, labels) == pytest.approx(monte_carlo_affiliation(predicted, labels), abs=0.02)


def slow_oracles(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Standard-F1, PA-F1 and Event-F1 by loops over thresholds and segments."""
    truth = labels.astype(bool)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]]))).reshape(-1, 2)
    best = np.zeros(3)
    for threshold in np.unique(scores):
        alarms = scores >= threshold
        adjusted = alarms.copy()
        for start, stop in borders:
            adjusted[start:stop] |= alarms[start:stop].any()
        found = np.mean([alarms[start:stop].any() for start, stop in borders])
        precision = (alarms & truth).sum() / alarms.sum()
        event = 2 * found * precision / (found + precision) if found + precision else 0.0
        f1 = [2 * (each & truth).sum() / (each.sum() + truth.sum()) for each in (alarms, adjusted)]
        best = np.maximum(best, [*f1, event])
    return best[0], best[1], best[2]


@settings(max_examples=40)
@given(st.integers(4, 60), st.integers(0, 2**31), st.integers(0, 4))
def test_oracles_are_the_best_of_all_thresholds(length: int, seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (10 * rng.normal(size=length)).round(decimals)  # below 0 too, with ties
    labels = (rng.random(length) < rng.uniform(0.05, 0.9)).astype(int)
    labels[:2] = (0, 1)
    found = standard_f1(scores, labels), point_adjusted_f1(scores, labels), event_f1(scores, labels)
    assert found == pytest.approx(slow_oracles(scores, labels))


def test_an_alarm_anywhere_in_a_segment_finds_it() -> None:
    labels = labelled(10, (2, 6))
    scores = np.where(np.arange(10) == 4, 1.0, 0.0)
    assert point_adjusted_f1(scores, labels) == event_f1(scores, labels) == 1.0


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [1, 1], "both normal and anomalous"),
        ([0.1, 0.2], [0, 0], "both normal and anomalous"),
        ([0.1, np.nan], [0, 1], "finite scores, found nan at step 1"),
        ([0.1, 0.2, 0.3], [0, 1], "one length"),
        ([0.1, 0.2], [0, 2], "labels 0 and 1"),
        ([], [], "found none at all"),
    ],
)
def test_unusable_input_is_refused(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        anomaly_metrics(np.array(scores), np.array(labels), 1)


@pytest.mark.parametrize("window", [-1, 1.5])
def test_a_window_of_no_number_of_steps_is_refused(window: int) -> None:
    with pytest.raises(InputError, match="at least 0 steps"):
        volume_under_surface(np.array([0.1, 0.9]), np.array([0, 1]), window)


def test_scores_that_are_all_alike_find_what_chance_does() -> None:
    """Also where the anomaly is the first and the last step, one step long, and the window longer than the series."""
    labels = labelled(20, (0, 1), (19, 20))
    found = anomaly_metrics(np.ones(20), labels, 30)
    assert found["AUC-ROC"] == 0.5 and found["AUC-PR"] == pytest.approx(0.1)
    assert (found["VUS-PR"], found["VUS-ROC"]) == pytest.approx(slow_volumes(np.ones(20), labels, 30))


def test_many_segments_take_no_more_memory_than_steps() -> None:
    scores, labels = np.random.default_rng(0).random(10_000), np.arange(10_000) % 2
    tracemalloc.start()
    found = point_adjusted_f1(scores, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == standard_f1(scores, labels)  # segments of one step need no adjusting
    assert peak < 10_000_000
