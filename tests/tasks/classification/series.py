"""Series of three classes."""

import numpy as np

from tests.tiny import CONTEXT

CLASSES, CHANNELS = 3, 2


def waves(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sines of three periods with noise, in two channels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    steps = np.arange(CONTEXT)
    phase = rng.uniform(0, 6.28, (samples, CHANNELS, 1))
    values = np.sin(2 * np.pi * steps / (8 * 2.0 ** labels[:, None, None]) + phase)
    return (values + 0.3 * rng.normal(size=values.shape)).astype(np.float32), labels
