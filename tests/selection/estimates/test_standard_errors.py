import numpy as np
import pytest

from tracetune.selection.estimates.standard_errors import mean_and_error, student_factor


def test_means_and_errors_by_hand() -> None:
    reads = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    means, errors = mean_and_error(reads)
    np.testing.assert_allclose(means, [2.0, 5.0])
    np.testing.assert_allclose(errors, [np.sqrt(1 / 3) * student_factor(2), 0.0])
    weighted, _ = mean_and_error(reads, np.array([2, 1, 1]))
    np.testing.assert_allclose(weighted, [1.75, 5.0])
    assert np.isnan(mean_and_error(reads[:, :1])[1]).all()


@pytest.mark.parametrize("count", [2, 3, 8, 100])
def test_two_errors_cover_as_often_for_few_reads_as_for_many(count: int) -> None:
    reads = np.random.default_rng(count).normal(size=(20_000, count))
    means, errors = mean_and_error(reads)
    assert (np.abs(means) <= 2 * errors).mean() == pytest.approx(0.9545, abs=0.006)
