"""The non-negative garrote: curvature from gradients, box-bounded minima, and a penalty that other periods choose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from tracetune.selection.garrote import Quadratic, Reads, choose_penalty


def quadratics(periods: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Slopes [P, M] at zero and positive definite curvatures [P, M, M]."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(periods, size, size))
    return rng.normal(size=(periods, size)), roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(size)


def read(slopes: np.ndarray, curvatures: np.ndarray, points: np.ndarray) -> Reads:
    gradients = slopes + np.einsum("pij,kj->kpi", curvatures, points)
    losses = np.einsum("pi,ki->kp", slopes, points) + 0.5 * np.einsum("ki,pij,kj->kp", points, curvatures, points)
    return Reads(points, losses, gradients)


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 10_000))
def test_a_quadratic_is_found_from_as_many_differences_as_coefficients(periods: int, size: int, seed: int) -> None:
    slopes, curvatures = quadratics(periods, size, seed)
    points = np.random.default_rng(seed + 1).uniform(size=(size + 1, size))
    model = Quadratic.of(read(slopes, curvatures, points))
    np.testing.assert_allclose(model.curvatures, curvatures, rtol=1e-3, atol=1e-3 * np.abs(curvatures).max())
    where = np.full((1, size), 0.4)
    np.testing.assert_allclose(model.value(where[0]), read(slopes, curvatures, where).losses[0], rtol=1e-3, atol=1e-3)


def test_the_minimum_is_that_of_a_reference_solver() -> None:
    slopes, curvatures = quadratics(1, 5, seed=3)
    points = np.random.default_rng(0).uniform(size=(6, 5))
    found = Quadratic.of(read(slopes, curvatures, points)).minimum(0.2, [0])
    root = np.linalg.cholesky(curvatures[0]).T
    expected = lsq_linear(root, -np.linalg.solve(root.T, slopes[0] + 0.2), (0, 1)).x
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_orthogonal_coefficients_shrink_as_breiman_says() -> None:
    """Least squares with orthogonal columns: c_m = max(0, 1 - penalty / beta_m^2)."""
    beta = np.array([2.0, 1.0, 0.5, 0.1])
    slopes, curvatures = -(beta**2)[None], np.diag(beta**2)[None]
    model = Quadratic.of(read(slopes, curvatures, np.array([[0.0] * 4, [1.0] * 4])))
    for penalty in (0.0, 0.1, 0.5):
        np.testing.assert_allclose(model.minimum(penalty, [0]), np.maximum(0, 1 - penalty / beta**2), atol=1e-6)
    assert model.closing_penalty() == pytest.approx(4.0)
    np.testing.assert_allclose(model.minimum(4.0, [0]), 0, atol=1e-6)


def test_curvature_is_never_negative() -> None:
    points = np.random.default_rng(0).uniform(size=(5, 3))
    saddle = read(np.zeros((1, 3)), np.diag([1.0, -2.0, 0.5])[None], points)
    assert np.linalg.eigvalsh(Quadratic.of(saddle).curvatures[0]).min() > -1e-9


def test_what_differs_between_periods_is_shrunk_and_what_repeats_is_not() -> None:
    """Coefficient 0 gains the same in all four periods, 1 gains twice as much in one and nothing in the others."""
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
    same = np.array([[-1.0, -2.0 * (p == 0)] for p in range(4)])
    curvatures = np.stack([np.diag([1.0, 0.6])] * 4)
    model = Quadratic.of(read(same, curvatures, points))
    penalty = choose_penalty(model)
    alone = Quadratic.of(read(same[:, :1], curvatures[:, :1, :1], points[:, :1]))
    assert choose_penalty(alone) == 0, "nothing to be won by shrinking"
    assert penalty > 0
    kept, shrunk = model.minimum(penalty, range(4))
    assert kept > 0.5
    assert shrunk < model.minimum(0.0, range(4))[1]
    assert choose_penalty(model, standard_errors=2.0) >= choose_penalty(model, standard_errors=1.0) >= penalty
