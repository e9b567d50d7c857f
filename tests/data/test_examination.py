"""What one should know of series before training."""

import numpy as np
import pytest

from tracetune.data.examination import autocorrelation, examine, seasons

SOURCE = np.random.default_rng(0)


def waves(period: int, items: int = 5, length: int = 300, noise: float = 0.3) -> list[np.ndarray]:
    steps = np.arange(length)
    return [
        10 + np.sin(2 * np.pi * (steps + item) / period)[None] + noise * SOURCE.normal(size=(1, length))
        for item in range(items)
    ]


def test_autocorrelation_is_that_of_the_definition() -> None:
    row = SOURCE.normal(size=60).cumsum()
    centred = row - row.mean()
    expected = [(centred[lag:] * centred[: 60 - lag]).sum() / (centred**2).sum() for lag in range(21)]
    assert autocorrelation(row) == pytest.approx(expected)
    assert autocorrelation(np.ones(60)) is None


@pytest.mark.parametrize("period", [7, 12, 24])
def test_seasons_are_found_and_their_multiples_are_not(period: int) -> None:
    found = seasons(waves(period))
    assert [lag for lag, _ in found] == [period]


@pytest.mark.parametrize("period", [7, 24, 52.178, 96, 100, 144, 168, 288, 365.25])
@pytest.mark.parametrize("shape", ["wave", "clipped", "saw", "two peaks"])
def test_the_lag_is_the_period_to_the_nearest_steps(period: float, shape: str) -> None:
    phase = np.arange(int(12 * period)) / period
    wave = {
        "wave": np.sin(2 * np.pi * phase),
        "clipped": np.clip(2 * np.sin(2 * np.pi * phase), -1, 1),
        "saw": 2 * (phase % 1) - 1,
        "two peaks": 3 * np.exp(-(((phase % 1 - 0.35) / 0.08) ** 2)) + 2 * np.exp(-(((phase % 1 - 0.8) / 0.1) ** 2)),
    }[shape]
    noise = np.random.default_rng(1).normal(size=len(wave))
    lag, strength = seasons([(wave + 0.2 * noise)[None]])[0]
    assert abs(lag - period) <= max(0.5, 0.003 * period)
    assert 0.6 < strength <= 1.05


def test_the_season_of_the_calendar_stands_for_one_a_step_beside_it() -> None:
    assert seasons(waves(96, length=400, items=1, noise=0.0), usual=96)[0] == (96, pytest.approx(1.0, abs=0.1))
    assert seasons(waves(90, length=400, items=1, noise=0.0), usual=96)[0][0] in (90, 91)


def test_noise_has_no_season() -> None:
    assert seasons([SOURCE.normal(size=(1, 300)) for _ in range(20)]) == []
    assert seasons([np.full((1, 100), 3.0)]) == []


def test_gaps_and_lengths_are_counted_between_the_first_value_and_the_last() -> None:
    row = np.array([[np.nan, 1.0, np.nan, np.nan, 0.0, 2.0, np.nan]])
    (facts,) = examine([row])
    assert (facts.steps, facts.longest_gap, facts.missing, facts.zeros) == (5, 2, 0.4, pytest.approx(1 / 3))
    assert examine([np.full((1, 4), np.nan)])[0].oddities == ("has no value",)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda row: np.where(np.arange(300) == 50, 500.0, row), "spike"),
        (lambda row: np.where(np.arange(300) > 150, row + 50, row), "level"),
        (lambda row: np.full(300, 4.0), "constant"),
        (lambda row: row * 10_000, "size"),
    ],
)
def test_odd_series_are_told_from_usual_ones(spoil: object, word: str) -> None:
    values = waves(7, items=9)
    values[4] = spoil(values[4][0])[None]  # type: ignore[operator]
    facts = examine(values)
    assert word in facts[4].oddities[0]
    assert max(facts, key=lambda each: each.oddness).item == 4
    assert not any(each.oddities for each in facts if each.item != 4)
