"""Dynamical systems: the textbook equations, integrated as scipy does it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from tracetune.data.synthetic import dynamical
from tracetune.data.synthetic.random_source import RandomSource

N, LENGTH = 24, 40


def record_orbit(monkeypatch: pytest.MonkeyPatch, make: Callable, seed: int) -> dict[str, Any]:
    """Start, step and orbit of the integration inside a generator, and the rows it returned."""
    seen: dict[str, Any] = {}
    integrate = dynamical.integrate

    def recording(slope: Callable, state: Tensor, step: Tensor, length: int) -> Tensor:
        seen.update(state=state.clone(), step=step, orbit=integrate(slope, state, step, length))
        return seen["orbit"]

    monkeypatch.setattr(dynamical, "integrate", recording)
    seen["rows"] = make(N, LENGTH, RandomSource(seed))
    return seen


def reference(slope: Callable, start: Tensor, step: float) -> np.ndarray:
    """The orbit [V, L] after the burn-in, by scipy's Dormand-Prince rule of order 8."""
    times = step * (dynamical._BURN_IN + 1 + np.arange(LENGTH))
    solved = solve_ivp(slope, (0, times[-1]), start.double().numpy(), "DOP853", times, rtol=1e-10, atol=1e-10)
    return solved.y


def lorenz(rho: float) -> Callable:
    return lambda t, s: [10 * (s[1] - s[0]), s[0] * (rho - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]


def roessler(c: float) -> Callable:
    return lambda t, s: [-s[1] - s[2], s[0] + 0.2 * s[1], 0.2 + s[2] * (s[0] - c)]


def van_der_pol(damping: float) -> Callable:
    return lambda t, s: [s[1], damping * (1 - s[0] ** 2) * s[1] - s[0]]


@pytest.mark.parametrize(
    ("make", "equation", "parameter", "fastest"),
    [
        (dynamical.lorenz, lorenz, lambda source: source.uniform(N, low=24, high=45), 0.012),
        (dynamical.roessler, roessler, lambda source: source.uniform(N, low=4, high=9), 0.12),
        (dynamical.van_der_pol, van_der_pol, lambda source: source.log_uniform(N, low=0.1, high=5), 0.12),
    ],
    ids=["lorenz", "roessler", "van_der_pol"],
)
def test_orbits_are_scipys(
    monkeypatch: pytest.MonkeyPatch, make: Callable, equation: Callable, parameter: Callable, fastest: float
) -> None:
    seen = record_orbit(monkeypatch, make, seed=2)
    parameters = parameter(RandomSource(2)).tolist()
    compared = 0
    for row, (value, step) in enumerate(zip(parameters, seen["step"].tolist(), strict=True)):
        expected = reference(equation(value), seen["state"][:, row], step)
        if step > fastest or np.abs(expected).max() > 100:  # where chaos has had time, or the orbit escapes
            continue
        compared += 1
        np.testing.assert_allclose(seen["orbit"][:, row].numpy(), expected, atol=0.05)
    assert compared >= 4


def test_the_rule_is_of_fourth_order() -> None:
    def error(step: float) -> float:
        """Of a harmonic oscillator at time 12."""
        start, length = torch.tensor([[0.0], [1.0]], dtype=torch.float64), round(12 / step) - 60
        steps = torch.tensor([step], dtype=torch.float64)
        orbit = dynamical.integrate(lambda state: torch.stack([state[1], -state[0]]), start, steps, length)
        return float(np.linalg.norm(orbit[:, 0, -1].numpy() - [np.sin(12), np.cos(12)]))

    assert error(0.1) / error(0.05) == pytest.approx(2**4, rel=0.05)
    assert error(0.05) / error(0.025) == pytest.approx(2**4, rel=0.05)


def test_relaxation_oscillations_have_amplitude_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LENGTH", 600)
    monkeypatch.setitem(globals(), "N", 60)
    orbit = record_orbit(monkeypatch, dynamical.van_der_pol, seed=0)["orbit"][0]
    amplitude = orbit[:, 300:].abs().amax(1)
    assert amplitude.median().item() == pytest.approx(2.01, abs=0.03)  # limit cycle: 2.000 to 2.023


def test_the_logistic_map_obeys_its_equation() -> None:
    rows = dynamical.logistic_map(500, 100, RandomSource(0)).double()
    rate = rows[:, 1:] / (rows[:, :-1] * (1 - rows[:, :-1]))
    plain = rate.std(1) < 1e-3
    assert plain.double().mean().item() == pytest.approx(0.5, abs=0.08)  # the others are smoothed
    expected = RandomSource(0).uniform(500, low=3.4, high=4.0).double()
    torch.testing.assert_close(rate.mean(1)[plain], expected[plain], atol=1e-3, rtol=0)


def test_waves_have_their_period(monkeypatch: pytest.MonkeyPatch) -> None:
    def period_40(self: RandomSource, *shape: int, low: float, high: float) -> Tensor:
        return torch.full(shape, 40.0 if low == 5 else low)  # noise at its lowest

    monkeypatch.setattr(dynamical, "slow_curve", lambda n, length, source: torch.zeros(n, length))
    monkeypatch.setattr(RandomSource, "log_uniform", period_40)
    rows = dynamical.waves(300, 640, RandomSource(0))
    strongest = torch.fft.rfft(rows - rows.mean(1, keepdim=True)).abs()[:, 6:].argmax(1) + 6  # growth is slower
    assert (strongest == 16).float().mean() > 0.95
