"""Patterns of hidden steps: points, blocks, sub-sequences, whole channels, and the ends of windows.

Shapes: C channels, T steps of a window.
"""

import numpy as np

from tracetune.base.errors import InputError, unknown_name

POINTS, BLOCKS, SUBSEQUENCES, CHANNELS = "points", "blocks", "sub-sequences", "channels"
PATTERNS = (POINTS, BLOCKS, SUBSEQUENCES, CHANNELS)
ENDS = "ends"  # the first or last steps of a series, as where data are late; windows of a fit hide these too
FITTED_PATTERNS = (*PATTERNS, ENDS)
_BLOCK = (4, 32)  # steps, the shortest and the longest


def draw_hidden(pattern: str, share: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return which steps [C, T] to hide, a share of all; of points and of whole channels about one.

    Args:
        pattern: "points" hides single steps of each channel by itself, "blocks" runs of 4 to 32 steps of all channels
            at once (the last one is cut to the share), "sub-sequences" one run of share * T steps in each channel at a
            place of its own, "channels" whole channels (of a single one, a sub-sequence).
        share: between 0 and 1.
        shape: C and T.
        generator: source of random numbers.

    Raises:
        InputError: an unknown pattern, or a share out of range.
    """
    if pattern not in PATTERNS:
        raise unknown_name("pattern of gaps", pattern, PATTERNS)
    if not 0 < share < 1:
        raise InputError(f"Expected a share of hidden steps between 0 and 1, found {share}.")
    channels, length = shape
    if pattern == POINTS:
        return generator.random(shape) < share
    if pattern == CHANNELS and channels > 1:
        hidden = np.zeros(shape, dtype=bool)
        hidden[generator.permutation(channels)[: min(max(1, round(share * channels)), channels - 1)]] = True
        return hidden
    if pattern == BLOCKS:
        return np.broadcast_to(_blocks(share, length, generator), shape).copy()
    steps = np.arange(length)
    size = min(max(1, round(share * length)), max(length - 1, 1))
    starts = generator.integers(0, length - size + 1, size=(channels, 1))
    return (steps >= starts) & (steps < starts + size)


def draw_ends(share: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return which steps [C, T] to hide: the first or the last ones of each channel, 1 to a share, short runs often."""
    channels, length = shape
    longest = min(max(1, round(share * length)), max(length - 1, 1))
    sizes = np.exp(generator.uniform(0.0, np.log(longest + 1), size=(channels, 1))).astype(int)
    steps = np.arange(length)
    return np.where(generator.random((channels, 1)) < 0.5, steps < sizes, steps >= length - sizes)


def _blocks(share: float, length: int, generator: np.random.Generator) -> np.ndarray:
    """Draw blocks of hidden steps [T]."""
    hidden = np.zeros(length, dtype=bool)
    wanted = max(1, round(share * length))
    while (left := wanted - int(hidden.sum())) > 0:
        size = min(int(generator.integers(_BLOCK[0], _BLOCK[1] + 1)), left)
        start = int(generator.integers(0, length - size + 1))
        hidden[start : start + size] = True
    return hidden
