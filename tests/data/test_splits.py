import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import Borders, Part, Scaler, cut_periods, fit_split, split_panel
from tracetune.data.windows import Windows
from tracetune.fitting.names import VALIDATIONS


def panel_of(*lengths):
    series = tuple(Series(f"s{i}", np.arange(length), np.ones((1, length))) for i, length in enumerate(lengths))
    return Panel(series, ("target",), None)


def test_borders_from_fractions():
    illness = Borders.from_fractions(966)
    assert illness == Borders(int(966 * 0.7), 966 - int(966 * 0.2), 966)


@pytest.mark.parametrize("ends", [(0, 1, 2), (5, 4, 6), (5, 6, 5)])
def test_disordered_borders_are_refused(ends):
    with pytest.raises(InputError, match="Expected 0 < train_end <= validation_end <= test_end"):
        Borders(*ends)


def test_fractions_above_one_are_refused():
    with pytest.raises(InputError, match=r"at most 1 in all, found train=0\.9 and test=0\.2"):
        Borders.from_fractions(100, train=0.9, test=0.2)


def test_split_panel_by_borders_is_the_same_for_every_series():
    split = split_panel(panel_of(20, 30), Borders(10, 14, 20))
    assert split.train == (Part(0, 10),) * 2
    assert split.validation == (Part(10, 14),) * 2
    assert split.test == (Part(14, 20),) * 2


def test_split_panel_by_fractions_follows_each_length():
    split = split_panel(panel_of(10, 100))
    assert split.train == ((0, 7), (0, 70))
    assert split.validation == ((7, 8), (70, 80))
    assert split.test == ((8, 10), (80, 100))


def test_split_panel_names_the_series_that_is_too_short():
    with pytest.raises(InputError, match="needs 20 steps, but item 's1' has 19"):
        split_panel(panel_of(20, 19), Borders(10, 14, 20))


def test_fit_split_keeps_the_end_for_validation():
    split = fit_split(panel_of(1000), prediction_length=10, validation="last")
    assert split.train == ((0, 900),)
    assert split.validation == ((900, 1000),)
    assert split.test == ((1000, 1000),)


def test_fit_split_holds_out_at_least_one_horizon_and_leaves_short_series_for_training():
    split = fit_split(panel_of(40, 21, 20), prediction_length=10, validation="last")
    assert split.train == ((0, 30), (0, 11), (0, 20))
    assert split.validation == ((30, 40), (11, 21), (20, 20))


def test_rolling_validation_keeps_a_fifth_and_of_a_few_series_up_to_a_third_for_three_periods():
    assert fit_split(panel_of(1000), prediction_length=10).validation == ((800, 1000),)
    assert fit_split(panel_of(144), prediction_length=12).validation == ((108, 144),)
    assert fit_split(panel_of(*[144] * 20), prediction_length=12).validation[0] == (116, 144)


def test_an_unknown_validation_is_refused():
    with pytest.raises(InputError, match="rolling"):
        fit_split(panel_of(100), 10, validation="roling")


def test_every_validation_of_a_fit_is_known():
    assert all(fit_split(panel_of(100), 10, validation=name).validation for name in VALIDATIONS)


@settings(max_examples=80)
@given(
    parts=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 400)), min_size=1, max_size=5),
    horizon=st.integers(1, 40),
)
def test_periods_follow_one_another_and_each_has_room_for_a_window(parts, horizon):
    ranges = [Part(start, start + length) for start, length in parts]
    periods = cut_periods(ranges, horizon)
    assert len(periods) <= 5
    for series, whole in enumerate(ranges):
        parts = [period[series] for period in periods if period[series].stop > period[series].start]
        assert bool(parts) == (whole.stop - whole.start >= horizon)
        if parts:
            assert (parts[0].start, parts[-1].stop) == whole
            assert all(first.stop == second.start for first, second in pairwise(parts))
            assert min(part.stop - part.start for part in parts) >= horizon
            assert parts[-1] == periods[-1][series]  # the latest period is the latest of every series


def test_at_most_five_periods_and_three_of_a_few_series_where_they_fit():
    def count(length, horizon, series=1):
        return len(cut_periods([Part(10, 10 + length)] * series, horizon))

    assert [count(*pair) for pair in ((2880, 96), (2880, 720), (48, 12), (36, 12), (20, 12), (11, 12))] == [
        5,
        3,
        3,
        3,
        1,
        0,
    ]
    assert [count(36, 12, 20), count(35, 12, 20)] == [2, 1]


def test_fit_split_always_leaves_a_window_on_both_sides():
    for length in range(13, 40):
        split = fit_split(panel_of(length), prediction_length=6, validation_fraction=0.9)
        values = [np.ones((1, length), np.float32)]
        assert len(Windows(values, 16, 6, split.train)) >= 1
        assert len(Windows(values, 16, 6, split.validation)) >= 1


def test_fit_split_refuses_when_nothing_can_be_validated():
    with pytest.raises(InputError, match=r"prediction_length=10: 21 steps are needed, the longest has 20"):
        fit_split(panel_of(20, 12), prediction_length=10)


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_fit_split_refuses_a_fraction_that_is_none(fraction):
    with pytest.raises(InputError, match="validation_fraction between 0 and 1"):
        fit_split(panel_of(100), 10, validation_fraction=fraction)


def test_scaler_equals_scikit_learn_on_the_train_range():
    values = np.random.default_rng(0).normal(3, 2, size=(4, 60))
    values[0, 5:9] = np.nan
    reference = StandardScaler().fit(values[:, 10:40].T)
    scaler = Scaler.fit(values, 10, 40)
    np.testing.assert_allclose(scaler.mean, reference.mean_)
    np.testing.assert_allclose(scaler.scale, reference.scale_)
    np.testing.assert_allclose(scaler.transform(values), reference.transform(values.T).T)


def test_scaler_ignores_missing_values_and_what_lies_outside_its_range():
    values = np.array([[1.0, np.nan, 3.0, 1000.0]])
    scaler = Scaler.fit(values, 0, 3)
    assert (scaler.mean.tolist(), scaler.scale.tolist()) == ([2.0], [1.0])
    np.testing.assert_array_equal(scaler.transform(values), [[-1, np.nan, 1, 998]])


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e8, np.nan])
def test_constant_and_unobserved_channels_have_scale_one(constant):
    scaler = Scaler.fit(np.full((1, 50), constant))
    assert scaler.scale.tolist() == [1.0]
    assert np.isfinite(scaler.mean).all()
    assert np.isfinite(scaler.transform(np.full((1, 3), 5.0))).all()


def test_the_weight_of_a_series_that_leaves_its_level_is_bounded():
    steady = np.random.default_rng(0).normal(size=(1, 120))
    broken = np.concatenate([np.zeros((1, 100)), np.full((1, 20), 1000.0)], axis=1)
    scalers = [Scaler.fit(values, 0, 100, counted=(100, 120)) for values in (steady, broken)]
    assert scalers[0].scale == Scaler.fit(steady, 0, 100).scale  # an ordinary one counts as always
    errors = scalers[1].transform(broken)[:, 100:]
    np.testing.assert_allclose((errors**2).mean(), 4)  # the forecast that stays at the mean


def test_a_channel_without_a_value_to_fit_on_is_scaled_by_what_is_counted():
    values = np.array([[np.nan, np.nan, 1000.0, 3000.0]])
    scaler = Scaler.fit(values, 0, 2, counted=(2, 4))
    assert (scaler.mean.tolist(), scaler.scale.tolist()) == ([2000.0], [1000.0])


def test_scaler_is_undone_and_survives_json():
    values = np.random.default_rng(1).normal(size=(2, 3, 20)) * 7 + 1
    scaler = Scaler.fit(values[0])
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_allclose(again.inverse_transform(scaler.transform(values)), values)
