"""Gaps that are hidden in known series: of every length, everywhere, and never a step that is missing anyway."""

import numpy as np
import pytest

from tracetune.estimators.imputation.gap_errors import GapErrors, gap_errors


def by_zero(values: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
    assert wanted.shape == values.shape[1:] and wanted.any()
    return np.where(np.isnan(values), 0.0, values)


def hidden_in(*series: np.ndarray, longest: int | None = None, related: bool = False) -> GapErrors:
    return gap_errors(by_zero, series, longest, related=related)


def test_lengths_double_up_to_a_third_of_the_series_and_lie_inside_and_at_the_ends() -> None:
    found = hidden_in(np.arange(1.0, 301.0)[None])
    inside, ends = ({*found.lengths[found.one_sided == side].tolist()} for side in (False, True))
    assert inside == {1, 2, 4, 8, 16, 32, 64, 100}
    assert ends == {1, 4, 16, 64, 100}
    assert found.steps == 300
    assert found.distances[found.one_sided].max() == 100
    # The truth is the number of the step: gaps lie all over the series.
    assert found.errors.min() < 4 and found.errors.max() > 296
    assert {*hidden_in(np.arange(300.0)[None], longest=10).lengths.tolist()} == {1, 2, 4, 8, 10}


def test_what_is_missing_is_not_measured_and_lengthens_the_gaps_beside_it() -> None:
    row = np.arange(1.0, 201.0)
    row[50:80] = np.nan
    found = hidden_in(row[None])
    assert np.isfinite(found.errors).all()
    assert not np.isin(found.errors, np.arange(51, 81)).any()
    assert found.distances[~found.one_sided & (found.lengths == 1)].max() <= 1


def test_channels_are_hidden_at_once_and_in_turn_and_as_a_whole_where_they_are_related() -> None:
    series = np.stack([np.full(400, 1.0), np.full(400, 2.0)])
    found = hidden_in(series)
    of_singles = found.gaps[found.lengths == 1]
    shared = [len({*found.errors[found.gaps == gap].tolist()}) == 2 for gap in np.unique(of_singles)]
    assert any(shared) and not all(shared)
    assert np.isfinite(found.distances).all()
    whole = hidden_in(series, related=True)
    assert {*whole.errors[np.isinf(whole.distances)].tolist()} == {1.0, 2.0}


@pytest.mark.parametrize("row", [[3.0], [np.nan] * 9, [1.0, np.nan, np.nan]])
def test_of_series_in_which_nothing_can_be_hidden_there_are_no_errors(row: list[float]) -> None:
    found = hidden_in(np.array([row]))
    assert len(found.errors) == len(found.distances) == len(found.gaps) == 0


def test_long_and_short_series_take_part() -> None:
    found = hidden_in(*(np.full((1, length), length, float) for length in (20, 30, 500)))
    assert {*found.errors.tolist()} == {20.0, 30.0, 500.0}
