"""Fills of a foundation model, weighed against simple ones by hidden steps of the series itself."""

import numpy as np
import pandas as pd
import pytest

from tracetune.estimators.imputation.imputer import Imputer
from tracetune.estimators.imputation.weighed_fill import hidden_like, weighed_fill


def sharp(kind: str, length: int = 720) -> np.ndarray:
    phase = np.arange(length) / 48
    return {
        "clipped": np.clip(2 * np.sin(2 * np.pi * phase), -1, 1),
        "saw": 2 * (phase % 1) - 1,
        "square": np.where(phase % 1 < 0.4, 1.0, -1.0),
    }[kind] + 0.05 * np.random.default_rng(0).normal(size=length)


def with_gaps(row: np.ndarray, *gaps: slice) -> np.ndarray:
    row = row.copy()
    for gap in gaps:
        row[gap] = np.nan
    return row


def sevens(row: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
    return np.where(np.isnan(row), 7.0, row)


def test_hidden_gaps_are_as_long_as_those_of_the_series_and_touch_none() -> None:
    row = with_gaps(np.arange(400.0), slice(100, 130), slice(200, 201), slice(390, 400))
    hidden = hidden_like(row)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]]))).reshape(-1, 2)
    lengths = np.diff(edges).ravel()
    assert set(lengths.tolist()) <= {1, 30}
    assert (lengths == 1).sum() >= 4
    assert not (hidden & np.isnan(row)).any()
    apart = np.isnan(row) | hidden
    assert np.diff(np.flatnonzero(np.diff(np.concatenate([[0], apart.astype(int), [0]]))).reshape(-1, 2)).max() == 30


def test_a_model_that_is_far_off_counts_for_nothing_and_one_that_knows_for_all() -> None:
    whole = sharp("saw")
    row = with_gaps(whole, slice(300, 330))
    off, (mixture,) = weighed_fill(sevens, row, 1)
    assert np.abs(off - whole)[300:330].mean() < 0.1  # 48 steps before and after
    assert (mixture.zero_shot, mixture.season, mixture.shortest, mixture.longest) == (0, 48, 16, 31)
    assert mixture.steps == 30 and mixture.hidden >= 90
    assert mixture.zero_shot + mixture.seasonal_median + mixture.linear == pytest.approx(1)
    wanted: list[np.ndarray | None] = []

    def knows(given: np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
        wanted.append(steps)
        return np.where(np.isnan(given), whole, given)

    knowing, (mixture,) = weighed_fill(knows, row, 1)
    np.testing.assert_allclose(knowing, whole)
    assert mixture.zero_shot == 1 and mixture.season == 1
    assert wanted[0] is None and wanted[1] is not None and wanted[1].sum() == mixture.hidden


def test_where_too_little_can_be_hidden_the_model_fills_alone() -> None:
    row = with_gaps(np.arange(12.0), slice(3, 9))
    filled, (mixture,) = weighed_fill(sevens, row, 1)
    np.testing.assert_array_equal(filled, sevens(row))
    assert (mixture.hidden, mixture.zero_shot, mixture.shortest, mixture.longest) == (0, 1, 4, 7)
    ends = with_gaps(sharp("saw"), slice(0, 30), slice(700, 720))
    filled, mixtures = weighed_fill(sevens, ends, 1)
    np.testing.assert_array_equal(filled, sevens(ends))
    assert mixtures == ()


@pytest.mark.parametrize("kind", ["clipped", "saw", "square"])
def test_a_sharp_wave_is_continued_without_a_fit(base_folder: str, kind: str) -> None:
    whole = sharp(kind)
    row = with_gaps(whole, slice(300, 330), slice(500, 530))
    panel = {"step": np.arange(720), "value": row}
    imputer = Imputer.from_pretrained(base_folder, device="cpu")
    filled = imputer.impute(pd.DataFrame(panel))["value"].to_numpy()
    gaps = np.isnan(row)
    assert ((filled - whole)[gaps] ** 2).mean() < 0.1 * whole.var()
