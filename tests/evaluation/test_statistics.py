import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tracetune.base.errors import InputError
from tracetune.evaluation.statistics import (
    diebold_mariano,
    holm,
    paired_bootstrap_interval,
    wilcoxon_holm,
)


@pytest.fixture
def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    case = random.normal(0, 3, (12, 1))
    return pd.DataFrame(case + random.normal([0.0, 0.5, 1.5], 0.5, (12, 3)), columns=["trace", "lora", "naive"])


def test_the_bootstrap_interval_agrees_with_scipy(table):
    ours = paired_bootstrap_interval(table["trace"], table["naive"])
    theirs = stats.bootstrap(
        (table["trace"] - table["naive"],),
        np.mean,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.estimate == pytest.approx((table["trace"] - table["naive"]).mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


def test_equal_differences_leave_no_interval():
    interval = paired_bootstrap_interval([3.0, 4.0, 7.0], [1.0, 2.0, 5.0])
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((2.0, 2.0, 2.0))


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        interval = paired_bootstrap_interval(random.normal(1.0, 1, 40), np.zeros(40), 0.8, resamples=400, seed=seed)
        hits += interval.low <= 1.0 <= interval.high
    assert 0.72 < hits / 300 < 0.86


def test_holm_agrees_with_statsmodels():
    p_values = [0.01, 0.04, 0.03, 0.9, 0.005]
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])


def test_wilcoxon_of_all_pairs_agrees_with_scipy(table):
    results = wilcoxon_holm(table)
    assert [(r.first, r.second) for r in results] == [("trace", "lora"), ("trace", "naive"), ("lora", "naive")]
    p_values = [stats.wilcoxon(table[r.first], table[r.second]).pvalue for r in results]
    np.testing.assert_allclose([r.p_value for r in results], p_values)
    np.testing.assert_allclose([r.adjusted_p_value for r in results], multipletests(p_values, method="holm")[1])
    assert results[1].difference == pytest.approx((table["trace"] - table["naive"]).median())
    assert results[1].cases == 12


def test_a_control_is_compared_with_each_other_method_only(table):
    results = wilcoxon_holm(table, control="lora")
    assert [(r.first, r.second) for r in results] == [("lora", "trace"), ("lora", "naive")]


def test_methods_that_never_differ_are_not_significant(table):
    table["again"] = table["trace"]
    result = wilcoxon_holm(table[["trace", "again"]])[0]
    assert (result.p_value, result.difference) == (1.0, 0.0)


def test_diebold_mariano_at_one_step_is_the_paired_t_test_of_the_losses():
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, 60), random.normal(0, 1.4, 60)
    for power in (1, 2):
        ours = diebold_mariano(first, second, horizon=1, power=power)
        theirs = stats.ttest_rel(np.abs(first) ** power, np.abs(second) ** power)
        assert ours.statistic == pytest.approx(theirs.statistic)
        assert ours.p_value == pytest.approx(theirs.pvalue)


def test_diebold_mariano_at_two_steps_by_hand():
    first, second = np.sqrt([3.0, 5.0, 1.0, 4.0, 7.0]), np.sqrt([2.0, 2.0, 2.0, 2.0, 2.0])
    d = np.array([1.0, 3.0, -1.0, 2.0, 5.0])  # mean 2, deviations -1 1 -3 0 3
    variance = (20 / 5 + 2 * (-1 - 3 + 0 + 0) / 5) / 5
    expected = d.mean() / np.sqrt(variance) * np.sqrt((5 + 1 - 4 + 2 / 5) / 5)
    result = diebold_mariano(first, second, horizon=2)
    assert result.statistic == pytest.approx(expected)
    assert result.p_value == pytest.approx(2 * stats.t.sf(expected, 4))


def test_diebold_mariano_keeps_its_level_for_overlapping_forecasts():
    random = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        noise = random.normal(size=(2, 203))
        errors = sum(noise[:, i : 200 + i] for i in range(4))  # moving averages: correlated over h - 1 = 3 steps
        rejected += diebold_mariano(errors[0], errors[1], horizon=4).p_value < 0.05
    assert rejected / 400 < 0.09


def test_a_variance_that_is_not_positive_falls_back_to_one_step():
    first, second = np.sqrt([1.0, 3.0, 1.0, 3.0, 1.0, 3.5]), np.sqrt(np.full(6, 0.5))
    assert diebold_mariano(first, second, horizon=2) == diebold_mariano(first, second, horizon=1)


def test_equal_losses_are_no_evidence():
    result = diebold_mariano([1.0, -2.0, 3.0], [-1.0, 2.0, 3.0], horizon=2)
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_a_constant_difference_in_losses_is_certain():
    result = diebold_mariano(np.ones(5), np.zeros(5))
    assert (result.statistic, result.p_value) == (np.inf, 0.0)


def test_a_horizon_that_leaves_no_origins_is_refused():
    with pytest.raises(InputError, match="from 1 to 2 for 3 errors, found 3"):
        diebold_mariano([1.0, 2.0, 3.0], [2.0, 1.0, 3.0], horizon=3)


def test_results_that_do_not_pair_up_are_refused():
    with pytest.raises(InputError, match="same cases, found 2 and 3"):
        paired_bootstrap_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="all of them finite"):
        diebold_mariano([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(InputError, match="confidence between 0 and 1"):
        paired_bootstrap_interval([1.0], [2.0], confidence=95)


def test_tables_that_cannot_be_compared_are_refused(table):
    with pytest.raises(InputError, match=r"Unknown method 'trac'. Did you mean 'trace'"):
        wilcoxon_holm(table, control="trac")
    with pytest.raises(InputError, match="at least two methods"):
        wilcoxon_holm(table[["trace"]], control="trace")
    table.loc[3, "lora"] = np.nan
    with pytest.raises(InputError, match="finite error in every cell"):
        wilcoxon_holm(table)
