"""Scores of series with planted anomalies, by every scorer, and the parts they are made of."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import tiny_backbone
from tracetune.base.errors import InputError
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores import SCORERS, ChannelScorer, Forecast, RankAverage, Windows, scorer_named
from tracetune.tasks.anomaly.scores.features import EmbeddedShape, LevelFeatures, RawShape, WindowFeatures
from tracetune.tasks.anomaly.scores.gaps import filled_gaps, well_observed
from tracetune.tasks.anomaly.scores.neighbour_scorer import NeighbourScorer, fit_neighbour_scorer
from tracetune.tasks.anomaly.scores.neighbours import nearest_distance
from tracetune.tasks.anomaly.scores.scaling import Scaling, Spread, mean_of_known
from tracetune.tasks.anomaly.scores.scorer import NormalChannel
from tracetune.tasks.anomaly.scores.shape_and_level import fit_shape_and_level
from tracetune.tasks.anomaly.scores.sliding import (
    dominant_period,
    scattered_starts,
    spread,
    window_starts,
    window_widths,
)

NAMES = ["forecast", "rank_average", "reconstruction"]  # the second one holds the others


def season(length: int, seed: int = 0) -> np.ndarray:
    noise = 0.05 * np.random.default_rng(seed).normal(size=length)
    return np.sin(2 * np.pi * np.arange(length) / 80) + noise


def model() -> AnomalyModel:
    return AnomalyModel(tiny_backbone(), None, 64)


@pytest.fixture(scope="module")
def fitted() -> dict[str, ChannelScorer]:
    found = {name: scorer_named(name).fit(NormalChannel(season(800)), model()) for name in NAMES}
    return found | dict(found["rank_average"].members)


def test_all_scorers_are_tried(fitted: dict[str, ChannelScorer]) -> None:
    assert fitted.keys() == SCORERS.keys()


@settings(max_examples=30)
@given(st.integers(8, 200), st.integers(1, 8), st.integers(1, 9), st.integers(0, 20))
def test_every_step_has_the_mean_of_the_windows_over_it(length: int, width: int, stride: int, at: int) -> None:
    starts = window_starts(length, width, min(stride, width), at)
    assert ((starts[1:-1] + at) % min(stride, width) == 0).all()
    scores = np.random.default_rng(length).random(len(starts))
    covering = [scores[(starts <= step) & (step < starts + width)].mean() for step in range(length)]
    assert spread(starts, scores, width, length) == pytest.approx(covering)


def test_the_period_is_found() -> None:
    assert dominant_period(season(1000)) == pytest.approx(80, abs=2)
    with np.errstate(all="raise"):
        assert dominant_period(1e200 * season(1000)) == dominant_period(season(1000))
    assert dominant_period(np.ones(50)) is None
    assert dominant_period(np.full(50, np.nan)) is None
    assert window_widths(season(1000)) == pytest.approx((80, 160), abs=3)
    assert min(window_widths(np.ones(20))) >= 8
    assert window_widths(np.ones(7)) == (3,)


def test_values_far_from_the_normal_part_leave_room_for_their_squares(fitted: dict[str, ChannelScorer]) -> None:
    scaling = Scaling.of(season(800))
    far = scaling.scaled(np.array([1e300, -1e300, np.nan]))
    assert np.isfinite(np.float32(far[:2]) ** 2).all() and np.isnan(far[2])
    values = season(400)
    values[200:204] = 1e200
    with np.errstate(over="raise", invalid="raise"):
        scores = Windows().fit(NormalChannel(season(800)), model()).score(values)
    assert scores[200:204].min() > np.delete(scores, np.arange(40, 364)).max()


def test_distances_are_those_to_the_nearest_windows_that_do_not_overlap() -> None:
    bank = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    starts = torch.tensor([0, 10, 20, 30])
    assert nearest_distance(torch.tensor([[1.5]]), bank, 2).tolist() == [1.0]  # (0.5 + 1.5) / 2
    apart = (starts, starts, 20)
    assert nearest_distance(bank, bank, 1, apart).tolist() == [3.0, 6.0, 3.0, 6.0]
    query = torch.tensor([[1.5]])
    assert nearest_distance(query, bank, 2, distinct=(starts, 20)).tolist() == [3.0]  # of 1 and 7, which do not overlap
    assert nearest_distance(query, bank, 4, distinct=(starts, 20)).tolist() == [3.0]  # there are no more
    assert nearest_distance(query, bank, 4, distinct=(starts, 10)).tolist() == [(0.5 + 1.5 + 1.5 + 5.5) / 4]


def test_equal_rows_are_not_apart() -> None:
    rows = torch.nn.functional.normalize(torch.randn(200, 300, generator=torch.Generator().manual_seed(0)), dim=1)
    assert nearest_distance(rows, rows, 1).max() == 0.0


@settings(max_examples=30)
@given(st.integers(60, 400), st.integers(8, 50), st.integers(1, 8), st.integers(2, 12))
def test_windows_that_are_learned_cover_every_step_and_phase(length: int, width: int, stride: int, period: int) -> None:
    stride = min(stride, width // 2)
    starts = scattered_starts(length, width, stride)
    assert (starts[0], starts[-1]) == (0, length - width)
    assert np.diff(starts).min() > 0 and np.diff(starts).max() < 2 * stride
    many = scattered_starts(8 * period * stride + width, width, stride)
    assert set(many % period) == set(range(period))
    later = scattered_starts(length - 7, width, stride, at=7)
    assert set(later[1:-1] + 7) <= set(starts) and {start for start in starts if start > 7} <= set(later + 7)


@pytest.mark.parametrize("features", [RawShape(), EmbeddedShape(tiny_backbone())])
@pytest.mark.parametrize("period", [24, 96])
def test_the_phase_at_which_later_steps_begin_does_not_matter(period: int, features: WindowFeatures) -> None:
    """Widths are multiples of the period, and so are the strides: windows on their grid are at a few phases only."""

    def repeated(start: int, seed: int) -> np.ndarray:
        noise = 0.05 * np.random.default_rng(seed).normal(size=1500)
        return np.sin(2 * np.pi * np.arange(start, start + 1500) / period) + noise

    scorer = fit_neighbour_scorer(NormalChannel(repeated(0, 0)), features, (96,))
    at_phase = [float(np.quantile(scorer.score(repeated(start, 1 + start)), 0.9)) for start in range(0, 12, 3)]
    assert max(at_phase) < 2 * max(at_phase[0], 1.0)  # 1 is the 0.99 quantile of the normal part


def test_units() -> None:
    assert Scaling.of(np.array([1.0, 3.0, np.nan])) == Scaling(2.0, 1.0)
    assert Scaling.of(np.full(3, 5.0)).scaled(np.array([5.005])) == pytest.approx([1.0])
    assert Scaling.of(np.full(3, np.nan)) == Scaling(0.0, 1.0)
    assert np.isfinite(Scaling.of(np.array([-1e300, 1e300])).scale)
    assert Spread.of(np.arange(101.0)) == Spread(50.0, 49.0)
    assert Spread.of(np.full(9, 0.5)).unit == 1.0
    assert Spread.of(np.full(9, 0.5), 0.01).unit == 0.01
    mean = mean_of_known([np.array([1.0, np.nan, np.nan]), np.array([3.0, 5.0, np.nan])], [3, 1])
    assert mean == pytest.approx([1.5, 5.0, np.nan], nan_ok=True)


def test_gaps() -> None:
    assert filled_gaps(np.array([np.nan, 1.0, np.nan, 3.0, np.nan])).tolist() == [1, 1, 2, 3, 3]
    assert filled_gaps(np.full(3, np.nan)).tolist() == [0, 0, 0]
    gap = np.array([1.0, np.nan, np.nan, 4.0, np.nan, 6.0])
    assert filled_gaps(gap, longest=1).tolist() == [1, 1, 1, 4, 5, 6]
    assert well_observed(gap, np.array([0, 2]), 4).tolist() == [False, False]
    assert well_observed(np.r_[gap, 7.0], np.array([3]), 4).tolist() == [True]
    values = np.arange(100.0)
    values[50:53] = np.nan
    starts = np.arange(61)
    within = [np.isnan(values[start : start + 40]).sum() for start in starts]
    assert (well_observed(values, starts, 40) == (np.array(within) <= 2)).all()


@pytest.mark.parametrize("name", ["neighbours", "rank_average", "windows"])  # a random model cannot guess
def test_an_odd_shape_has_the_highest_score(name: str, fitted: dict[str, ChannelScorer]) -> None:
    values = season(1600, 1)
    values[960:1040] = np.sin(2 * np.pi * np.arange(80) / 20)
    assert 930 <= int(np.nanargmax(fitted[name].score(values))) <= 1070


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_level_has_the_highest_score(name: str, fitted: dict[str, ChannelScorer]) -> None:
    values = season(1600, 1)
    values[960:1040] += 3
    assert 920 <= int(np.nanargmax(fitted[name].score(values))) <= 1080


@pytest.mark.parametrize("name", ["forecast", "windows"])
def test_units_do_not_matter(name: str, fitted: dict[str, ChannelScorer]) -> None:
    scores = fitted[name].score(season(400, 1))
    scaled = scorer_named(name).fit(NormalChannel(1000 * season(800) - 7), model()).score(1000 * season(400, 1) - 7)
    np.testing.assert_allclose(scaled, scores, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_normal_scores_are_those_of_the_part_at_its_place(name: str, fitted: dict[str, ChannelScorer]) -> None:
    scorer = fitted[name]
    np.testing.assert_allclose(scorer.score(season(800), at=0), scorer.normal_scores, rtol=1e-3, atol=1e-3)
    known = scorer.normal_scores[np.isfinite(scorer.normal_scores)]
    assert np.median(known) == pytest.approx(0, abs=1e-6)


def test_blocks_of_missing_steps_leave_the_widths_that_fit_between_them() -> None:
    values = season(800)
    values[np.arange(800) % 100 < 15] = np.nan
    scorer = Windows(widths=(40, 80, 160)).fit(NormalChannel(values), model())
    assert [bank.width for bank in scorer.banks] == [40, 80]
    assert np.isfinite(scorer.score(values)).mean() > 0.8
    with pytest.raises(InputError, match=r"windows of 160 steps .* found none.* or narrower windows"):
        Windows(widths=(160,)).fit(NormalChannel(values), model())


@pytest.mark.parametrize("name", ["forecast", "reconstruction"])
def test_errors_hold_nothing_out(name: str, fitted: dict[str, ChannelScorer]) -> None:
    np.testing.assert_array_equal(fitted[name].held_out_scores(), fitted[name].normal_scores)


def _of_the_bank(scorer: ChannelScorer) -> np.ndarray:
    """Return the scores of the bank's own windows, each compared with all that it does not overlap."""
    assert isinstance(scorer, NeighbourScorer)
    length, per_width = len(scorer.normal_scores), []
    for bank in scorer.banks:
        distances = bank.distances(bank.rows, bank.starts)
        per_width.append(spread(bank.starts.numpy(), distances.numpy(), bank.width, length))
    return np.mean([each.scaled(found) for each, found in zip(scorer.spreads, per_width, strict=True)], axis=0)


def test_held_out_scores_leave_out_what_is_near_in_time(fitted: dict[str, ChannelScorer]) -> None:
    """Fewer windows to be near to: no score is lower; and where the level wanders, most are higher."""
    for name in ("windows", "neighbours"):
        held_out, own = fitted[name].held_out_scores(), fitted[name].normal_scores
        assert held_out.shape == own.shape
        assert np.isfinite(held_out).all()
    nearest = Windows(neighbours=1).fit(NormalChannel(season(800)), model())  # of three, fewer than three may be left
    assert (nearest.held_out_scores() >= _of_the_bank(nearest) - 1e-6).all()
    walk = np.cumsum(np.random.default_rng(0).normal(size=800))
    scorer = scorer_named("neighbours").fit(NormalChannel(walk), model())
    assert np.median(scorer.held_out_scores()) > np.median(scorer.normal_scores) + 0.3
    short = scorer_named("windows").fit(NormalChannel(np.arange(7.0)), model()).held_out_scores()
    assert short.shape == (7,)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_farther_than_the_reach_has_no_part(name: str, fitted: dict[str, ChannelScorer]) -> None:
    scorer, values = fitted[name], season(1200, 1)
    values[300:310] = np.nan
    first = 150
    parts = scorer.score(values[first:], at=first)[scorer.reach + 1 : -scorer.reach]
    whole = scorer.score(values, at=0)[first:][scorer.reach + 1 : -scorer.reach]
    assert len(whole) > 300
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_calibration_gives_the_same_scorer(name: str, fitted: dict[str, ChannelScorer]) -> None:
    again = scorer_named(name).fit(NormalChannel(season(800), calibration=fitted[name].calibration), model())
    np.testing.assert_array_equal(again.normal_scores, fitted[name].normal_scores)
    np.testing.assert_array_equal(again.score(season(300, 2)), fitted[name].score(season(300, 2)))


@pytest.mark.parametrize("name", NAMES)
def test_short_and_constant_series(name: str, fitted: dict[str, ChannelScorer]) -> None:
    assert fitted[name].score(season(7)).shape == (7,)
    if name != "forecast":  # which needs a stretch of 16 steps before one that it scores
        assert np.isfinite(scorer_named(name).fit(NormalChannel(np.arange(7.0)), model()).score(np.arange(7))).all()
    flat = scorer_named(name).fit(NormalChannel(np.full(300, 0.1)), model())
    scores = flat.score(np.r_[np.full(200, 0.1), 5.0, np.full(99, 0.1)])
    assert abs(int(np.nanargmax(scores)) - 200) <= 128
    assert np.nanmax(flat.score(np.full(90, 0.1))) < 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("level", "change"), [(100.0, 0.2), (0.0, 0.01)])
def test_any_change_of_a_constant_is_far_beyond_normal_scores(name: str, level: float, change: float) -> None:
    """Thresholds that other channels set are a few units."""
    values = np.full(300, level)
    values[200:240] += change
    assert np.nanmax(scorer_named(name).fit(NormalChannel(np.full(300, level)), model()).score(values)) > 50


def _by_loops(scorer: NeighbourScorer, values: np.ndarray, at: int | None) -> np.ndarray:
    """Return scores by the normal part and the table, one window after the other."""
    per_width, normal, scaled = [], len(scorer.normal_scores), scorer.scaling.scaled(values)
    place = normal + scorer.reach if at is None else at
    for bank, unit in zip(scorer.banks, scorer.spreads, strict=True):
        width, windows = bank.width, np.lib.stride_tricks.sliding_window_view(scaled, bank.width)
        added = scattered_starts(len(values), width, width // 32)
        added = added[(added + place < 0) | (added + place + width > normal)]
        rows = np.concatenate([bank.rows.numpy(), scorer.features(windows[added]).numpy()])
        places = np.concatenate([bank.starts.numpy(), added + place])
        starts, found = scattered_starts(len(values), width, width // 8, at or 0), []
        for start in starts:
            distances = np.linalg.norm(rows - scorer.features(windows[[start]]).numpy(), axis=1)
            left, nearest = np.abs(places - start - place) >= width, []
            while left.any() and len(nearest) < bank.neighbours:
                nearest.append(int(np.where(left, distances, np.inf).argmin()))
                left &= np.abs(places - places[nearest[-1]]) >= width
            found.append(distances[nearest].mean())
        per_width.append(unit.scaled(spread(starts, np.array(found), width, len(values))))
    return np.mean(per_width, axis=0)


@pytest.mark.parametrize("at", [None, 300, 800])
def test_windows_of_the_table_count_as_a_loop_over_them_says(at: int | None) -> None:
    values = np.concatenate([season(800), season(400, 1)])
    part = values[500:1000] if at is None else values[at : at + 400]
    scorer = fit_neighbour_scorer(NormalChannel(values[:800]), RawShape(), neighbours=2)
    found = scorer.score(part, at, "table")
    np.testing.assert_allclose(found, _by_loops(scorer, part, at), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["neighbours", "rank_average", "windows"])
def test_what_recurs_in_the_table_is_normal_there(name: str, fitted: dict[str, ChannelScorer]) -> None:
    """An odd beat occurs six times, another one once: only the latter is odd in its table."""
    values = season(2400, 1)
    recurring = [200, 520, 840, 1480, 1800, 2120]
    for start in recurring:
        values[start : start + 80] = np.sin(2 * np.pi * np.arange(80) / 20)
    values[1160:1240] = np.sin(2 * np.pi * np.arange(80) / 40)
    by_normal, by_table = (fitted[name].score(values, None, reference) for reference in ("normal", "table"))
    centres = np.array(recurring) + 40
    assert by_table[centres].max() < by_normal[centres].min() / 2
    assert 1130 <= int(np.nanargmax(by_table)) <= 1270
    assert by_table[1200] > 2 * by_table[centres].max()


def test_a_part_that_was_learned_scores_the_same_by_itself_and_as_a_table(fitted: dict[str, ChannelScorer]) -> None:
    scorer = fitted["rank_average"]
    np.testing.assert_allclose(scorer.score(season(800), 0, "table"), scorer.normal_scores, rtol=1e-3, atol=1e-3)
    for name in ("forecast", "reconstruction"):
        with pytest.raises(InputError, match=r"reference='table' goes with scorers that compare windows"):
            fitted[name].score(season(800), 0, "table")


def test_weights_are_those_that_were_saved() -> None:
    scorer = fit_shape_and_level(NormalChannel(season(1500)), RawShape())
    other = dict(scorer.calibration) | {"weights": np.array([0.25, 0.75])}
    assert fit_shape_and_level(NormalChannel(season(1500), calibration=other), RawShape()).weights == {
        "shape": 0.25,
        "level": 0.75,
    }
    with pytest.raises(ValueError, match="scores of 2 widths of windows, where there are 1"):
        fit_shape_and_level(NormalChannel(season(1500), calibration=scorer.calibration), RawShape(), (80,))


def test_a_block_of_gaps_has_no_score_and_raises_none_around_it() -> None:
    values = season(1600, 1)
    values[700:900] = np.nan
    scores = fit_neighbour_scorer(NormalChannel(season(800)), RawShape()).score(values)
    assert np.isnan(scores[760:840]).all()
    assert np.isfinite(scores[:660]).all() and np.isfinite(scores[940:]).all()
    assert np.nanmax(scores) < 10
    holes = season(800)
    holes[::7] = np.nan
    assert np.isfinite(fit_neighbour_scorer(NormalChannel(holes), RawShape()).normal_scores).all()


def test_an_anomaly_in_the_part_that_was_learned_is_found_there() -> None:
    values = season(1600)
    values[700:740] = 2.5
    assert 680 <= int(Windows().fit(NormalChannel(values), model()).normal_scores.argmax()) <= 760
    values[1300:1340] = 2.5
    scores = Windows(neighbours=1).fit(NormalChannel(values, 0.1), model()).normal_scores
    assert scores[705:735].min() > 5 * np.median(np.abs(scores))


def test_shapes_that_never_repeat_do_not_count() -> None:
    noise = np.random.default_rng(0).normal(size=1500)
    noisy, seasonal = (fit_shape_and_level(NormalChannel(values), RawShape()) for values in (noise, season(1500)))
    assert noisy.weights == {"shape": 0.0, "level": 1.0}
    assert seasonal.weights == {"shape": 1.0, "level": 0.125}


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least 16 normal steps"):
        fit_neighbour_scorer(NormalChannel(np.arange(10.0)), LevelFeatures(), (8,))
    with pytest.raises(InputError, match="few of them missing"):
        fit_neighbour_scorer(NormalChannel(np.full(100, np.nan)), LevelFeatures())
    with pytest.raises(InputError, match=r"Unknown scorer 'neighbour'. Did you mean 'neighbours'"):
        scorer_named("neighbour")
    with pytest.raises(InputError, match="Unknown scorer 'x'"):
        RankAverage(("x",))
    with pytest.raises(InputError, match="at least 1 step"):
        Forecast(steps=0)


def test_a_rank_average_reads_what_its_members_read() -> None:
    assert RankAverage(("windows",)).reads == "nothing"
    assert RankAverage(("windows", "neighbours")).reads == RankAverage().reads == "embeddings"
    assert RankAverage(("reconstruction", "windows", "forecast")).reads == "model"
