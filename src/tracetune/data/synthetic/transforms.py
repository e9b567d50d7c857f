"""Distortions of measured series; every transform takes rows [n, L] and changes a random share of them."""

import torch
from torch import Tensor
from torch.nn import functional

from tracetune.data.synthetic.components import level_shifts, pulses, slow_factor, standardise, trend
from tracetune.data.synthetic.random_source import RandomSource


def mix_rows(series: Tensor, source: RandomSource, share: float = 0.2) -> Tensor:
    """Mix a share of the rows: convex combinations of three, Dirichlet(1) weights (TSMixup, Ansari et al. 2024)."""
    n = len(series)
    weights = torch.stack([source.exponential(n, 1) for _ in range(3)])
    weights = weights / weights.sum(0)
    mixed = weights[0] * series
    for weight in weights[1:]:
        mixed = mixed + weight * series[source.permutation(n)]
    return torch.where(source.bernoulli(share, n, 1), mixed, series)


def flip_sign(series: Tensor, source: RandomSource, share: float = 0.3) -> Tensor:
    """Flip rows upside down."""
    return torch.where(source.bernoulli(share, len(series), 1), -series, series)


def reverse_time(series: Tensor, source: RandomSource, share: float = 0.1) -> Tensor:
    """Reverse rows in time."""
    return torch.where(source.bernoulli(share, len(series), 1), series.flip(1), series)


def add_noise(series: Tensor, source: RandomSource, share: float = 0.3) -> Tensor:
    """Add white noise of a random level, from hardly seen to as large as the signal."""
    n, length = series.shape
    level = source.log_uniform(n, 1, low=0.01, high=1.0) * source.bernoulli(share, n, 1)
    return series + level * source.normal(n, length)


def add_trend(series: Tensor, source: RandomSource, share: float = 0.15) -> Tensor:
    """Add a trend of a random kind."""
    n, length = series.shape
    return series + trend(n, length, source) * 2 * source.bernoulli(share, n, 1)


def modulate(series: Tensor, source: RandomSource, share: float = 0.15) -> Tensor:
    """Multiply rows by an amplitude that wanders."""
    n, length = series.shape
    return torch.where(source.bernoulli(share, n, 1), series * slow_factor(n, length, source, 0.8), series)


def add_events(series: Tensor, source: RandomSource, share: float = 0.08) -> Tensor:
    """Add spikes of either sign, and lasting level shifts."""
    n, length = series.shape
    spikes = pulses(n, length, source, high=0.02) * source.normal(n, 1) * 4
    series = series + spikes * source.bernoulli(share, n, 1)
    return series + level_shifts(n, length, source) * 2 * source.bernoulli(share, n, 1)


def censor(series: Tensor, source: RandomSource, share: float = 0.06) -> Tensor:
    """Clip rows below, above or on both sides: ranges of sensors, capacity limits."""
    n = len(series)
    low = torch.where(source.bernoulli(0.6, n, 1), source.uniform(n, 1, low=-1.5, high=0.0), -torch.inf)
    high = torch.where(source.bernoulli(0.6, n, 1), source.uniform(n, 1, low=0.3, high=1.5), torch.inf)
    return torch.where(source.bernoulli(share, n, 1), series.clamp(low, high), series)


def quantise(series: Tensor, source: RandomSource, share: float = 0.1) -> Tensor:
    """Round rows to a coarse resolution."""
    resolution = source.log_uniform(len(series), 1, low=0.05, high=0.6)
    rounded = (series / resolution).round() * resolution
    return torch.where(source.bernoulli(share, len(series), 1), rounded, series)


def hold(series: Tensor, source: RandomSource, share: float = 0.04) -> Tensor:
    """Repeat the first value over a stretch of up to an eighth of the row, as a sensor that hangs."""
    n, length = series.shape
    start = (source.uniform(n, 1) * length).long()
    width = (source.uniform(n, 1, high=0.125) * length).long()
    time = source.time(length)
    stuck = (time >= start) & (time < start + width) & source.bernoulli(share, n, 1)
    return torch.where(stuck, series.gather(1, start.clamp(max=length - 1)), series)


def smooth(series: Tensor, source: RandomSource, share: float = 0.1) -> Tensor:
    """Average rows over 5 steps."""
    padded = functional.pad(series.unsqueeze(1), (2, 2), mode="replicate")
    average = functional.avg_pool1d(padded, 5, stride=1).squeeze(1)
    return torch.where(source.bernoulli(share, len(series), 1), average, series)


def warp_time(series: Tensor, source: RandomSource, share: float = 0.1) -> Tensor:
    """Read a random stretch of at least half the row at uneven speed, by linear interpolation."""
    n, length = series.shape
    speed = slow_factor(n, length, source, 0.3)
    elapsed = speed.cumsum(1) / speed.sum(1, keepdim=True)  # rises to 1
    span = source.uniform(n, 1, low=0.5, high=1.0)
    position = (elapsed * span + source.uniform(n, 1) * (1 - span)) * (length - 1)
    left = position.long().clamp_(max=length - 2)
    warped = torch.lerp(series.gather(1, left), series.gather(1, left + 1), position - left)
    return torch.where(source.bernoulli(share, n, 1), warped, series)


TRANSFORMS = (
    warp_time, modulate, add_trend, add_events, reverse_time, flip_sign, smooth, add_noise, hold, censor, quantise,
)  # fmt: skip


def transform(series: Tensor, source: RandomSource) -> Tensor:
    """Apply all transforms, each to its share of the rows [n, L], standardised before and after."""
    for step in TRANSFORMS:
        series = step(series, source)
    return standardise(series)
