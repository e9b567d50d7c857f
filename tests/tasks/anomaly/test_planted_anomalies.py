"""Planted anomalies: where they are, how strong, and that they ask nothing of a series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.tasks.anomaly.planted_anomalies import KINDS, planted


def walk(length: int = 200) -> np.ndarray:
    return np.random.default_rng(0).normal(size=length).cumsum()


@pytest.mark.parametrize("kind", KINDS)
def test_an_anomaly_changes_its_steps_and_no_others(kind: str) -> None:
    values = walk()
    found = planted(values, 50, 80, kind, values.std(), np.random.default_rng(1))
    assert np.flatnonzero(found != values).min() >= 50 and np.flatnonzero(found != values).max() < 80
    assert np.array_equal(values, walk())


@settings(max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1000), st.floats(0.01, 1000), st.floats(-100, 100))
def test_strengths_follow_the_units_of_the_series(kind: str, seed: int, scale: float, level: float) -> None:
    values = walk()
    plain = planted(values, 20, 50, kind, 1.0, np.random.default_rng(seed))
    moved = planted(scale * values + level, 20, 50, kind, scale, np.random.default_rng(seed))
    np.testing.assert_allclose(moved, scale * plain + level, rtol=1e-6, atol=1e-6 * scale)


def test_kinds_are_what_they_are_called() -> None:
    values = walk()
    at = {kind: planted(values, 40, 60, kind, 1.0, np.random.default_rng(0))[40:60] for kind in KINDS}
    steps = values[40:60]
    np.testing.assert_array_equal(at["flip"], steps[::-1])
    np.testing.assert_allclose(at["upside_down"] + steps, 2 * steps.mean())
    assert (at["cutoff"] == steps[0]).all()
    assert np.count_nonzero(at["spike"] != steps) == 1
    assert np.abs(np.diff(at["average"])).max() < np.abs(np.diff(steps)).max()
    drift = at["wander"] - steps
    np.testing.assert_allclose(np.diff(drift, 2), 0, atol=1e-9)
    assert 0.2 <= abs(drift[-1]) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_missing_steps_are_no_obstacle(kind: str) -> None:
    values = walk()
    values[45:50] = np.nan
    with np.errstate(all="raise"):
        found = planted(values, 40, 60, kind, 1.0, np.random.default_rng(0))
        assert np.isnan(planted(np.full(200, np.nan), 40, 60, kind, 1.0, np.random.default_rng(0))[40:60]).all()
    assert np.isfinite(found[40:60]).sum() >= 5
