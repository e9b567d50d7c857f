import numpy as np
import pytest

from tracetune.evaluation.periods import SampleGroups, paired_difference, period_means, relative_gain, standard_error


def test_equal_groups_give_the_error_of_their_means():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 40)) + rng.normal(size=(5, 1))
    groups = SampleGroups(np.repeat(np.arange(5), 40), np.zeros(200, dtype=int))
    wanted = values.mean(axis=1).std(ddof=1) / np.sqrt(5)
    assert standard_error(values.ravel(), groups) == pytest.approx(wanted)
    np.testing.assert_allclose(period_means(values.ravel(), groups), values.mean(axis=1))


def test_independent_samples_have_the_usual_error():
    values = np.random.default_rng(1).normal(size=50)
    wanted = values.std(ddof=1) / np.sqrt(50)
    assert standard_error(values, SampleGroups.of_labelled_samples(50)) == pytest.approx(wanted)


def test_the_error_agrees_with_a_bootstrap_of_unequal_groups():
    rng = np.random.default_rng(2)
    sizes = rng.integers(5, 30, size=30)
    labels = np.repeat(np.arange(30), sizes)
    values = rng.normal(size=30)[labels] + rng.normal(size=len(labels))
    parts = [values[labels == label] for label in range(30)]
    means = [np.concatenate([parts[i] for i in rng.integers(30, size=30)]).mean() for _ in range(2000)]
    groups = SampleGroups(labels, np.zeros_like(labels))
    assert standard_error(values, groups) == pytest.approx(np.std(means), rel=0.1)


def test_a_shock_that_all_items_share_counts_though_items_are_many():
    rng = np.random.default_rng(3)
    shocks = rng.normal(size=(4, 1))
    values = (shocks + 0.01 * rng.normal(size=(4, 500))).ravel()
    groups = SampleGroups(np.repeat(np.arange(4), 500), np.tile(np.arange(500), 4))
    assert standard_error(values, groups) == pytest.approx(shocks.std(ddof=1) / 2, rel=0.05)


def test_overlapping_windows_of_one_stretch_leave_the_error_unknown():
    groups = SampleGroups(np.zeros(9, dtype=int), np.zeros(9, dtype=int))
    difference = paired_difference(np.arange(9.0), np.zeros(9), groups)
    assert (difference.mean, difference.error) == (4.0, None)


def test_pairs_cancel_what_is_hard_for_both():
    rng = np.random.default_rng(4)
    hard = 10 * rng.normal(size=100)
    groups = SampleGroups(np.repeat(np.arange(5), 20), np.tile(np.arange(20), 5))
    difference = paired_difference(hard + 0.1, hard, groups)
    assert difference.mean == pytest.approx(0.1)
    assert difference.error == pytest.approx(0, abs=1e-12)


def test_a_relative_gain_is_that_of_group_means_whatever_their_size():
    groups = SampleGroups(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]))
    first, second = np.array([1.0, 3.0, 10.0, 4.0]), np.array([1.0, 1.0, 10.0, 3.0])
    floor = 0.1 * 4.5
    expected = [(2 - 1) / (1.5 + floor), 0.0, (4 - 3) / (3.5 + floor)]
    found = relative_gain(first, second, groups)
    assert found.mean == pytest.approx(np.mean(expected))
    dense = SampleGroups(np.array([0, 0, 1]), np.array([0, 1, 0]))
    assert found.error == pytest.approx(standard_error(np.array(expected), dense))
    assert relative_gain(second, first, groups).mean < 0
    assert relative_gain(np.zeros(4), np.zeros(4), groups).mean == 0.0


def test_losses_on_one_scale_are_summed_before_they_are_compared():
    rng = np.random.default_rng(5)
    first, second = rng.exponential(size=60), rng.exponential(size=60)
    groups = SampleGroups.of_labelled_samples(60)
    found = relative_gain(first, second, groups)
    size = (first.mean() + second.mean()) / 2 + 0.1 * first.mean()
    assert found.mean == pytest.approx((first.mean() - second.mean()) / size)
    assert found.error == pytest.approx(paired_difference(first, second, groups).error / size)


def test_a_classifier_that_is_surer_where_it_is_right_and_where_it_is_wrong_is_no_better():
    first = np.array([0.04] * 9 + [1.0])
    second = np.array([0.01] * 9 + [1.3])
    items = SampleGroups(np.zeros(10, dtype=int), np.arange(10))
    assert relative_gain(first, second, items).mean > 0
    assert relative_gain(first, second, SampleGroups.of_labelled_samples(10)).mean < 0


def test_groups_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="one period and one item for each sample"):
        SampleGroups(np.zeros(3, dtype=int), np.zeros(4, dtype=int))
