"""Anomalies to plant in normal series, to see without any label whether a detector finds them.

The kinds are those that Goswami et al. plant to select detectors ("Unsupervised Model Selection for Time-Series Anomaly
Detection", ICLR 2023); strengths are ours, small enough that not every one is found.

Shapes: T steps of a series, S steps of an anomaly.
"""

from collections.abc import Callable, Mapping

import numpy as np

Plant = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""From normal steps [S], the deviation of the series and a source of random numbers to anomalous steps [S]."""


def planted(
    values: np.ndarray, start: int, stop: int, kind: str, deviation: float, generator: np.random.Generator
) -> np.ndarray:
    """Return values [T] with an anomaly at steps [start, stop); missing ones may lie elsewhere in it then.

    Args:
        values: NaN where missing.
        start: first step of the anomaly.
        stop: step behind it.
        kind: see ``KINDS``.
        deviation: of the series, which strengths are shares of.
        generator: source of random numbers.
    """
    found = np.array(values, dtype=float)
    found[start:stop] = KINDS[kind](found[start:stop].copy(), deviation, generator)
    return found


def _spike(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    steps[len(steps) // 2] += generator.choice([-1, 1]) * generator.uniform(0.5, 2.0) * deviation
    return steps


def _flip(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    return steps[::-1].copy()


def _upside_down(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    return 2 * _mean(steps) - steps


def _speed(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    """Return the steps half or twice as fast; twice as fast they come twice."""
    places = np.arange(len(steps))
    if generator.random() < 0.5:
        return np.interp(places / 2, places, steps)
    return steps[(2 * places) % len(steps)]


def _noise(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    return steps + generator.uniform(0.05, 0.3) * deviation * generator.normal(size=len(steps))


def _cutoff(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    return np.where(np.isnan(steps), steps, _first(steps))


def _average(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    width = min(max(len(steps) // 4, 2), len(steps))
    known = np.isfinite(steps)
    sums, counts = (np.convolve(each, np.ones(width), "same") for each in (np.where(known, steps, 0.0), known))
    return np.divide(sums, counts, out=np.full(len(steps), np.nan), where=counts > 0)


def _scale(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    factor = generator.uniform(0.4, 0.8) if generator.random() < 0.5 else generator.uniform(1.2, 2.0)
    return _mean(steps) + factor * (steps - _mean(steps))


def _wander(steps: np.ndarray, deviation: float, generator: np.random.Generator) -> np.ndarray:
    return steps + generator.choice([-1, 1]) * generator.uniform(0.2, 1.0) * deviation * np.linspace(0, 1, len(steps))


KINDS: Mapping[str, Plant] = {
    "spike": _spike,
    "flip": _flip,
    "upside_down": _upside_down,
    "speed": _speed,
    "noise": _noise,
    "cutoff": _cutoff,
    "average": _average,
    "scale": _scale,
    "wander": _wander,
}


def _mean(steps: np.ndarray) -> float:
    return float(np.nanmean(steps)) if np.isfinite(steps).any() else 0.0


def _first(steps: np.ndarray) -> float:
    known = steps[np.isfinite(steps)]
    return float(known[0]) if len(known) else np.nan
