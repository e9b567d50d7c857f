"""Series with seasons: calendar periods, smooth and sharp shapes, working weeks, sunlight, weather."""

import math

import torch
from torch import Tensor

from tracetune.data.synthetic.components import (
    autoregress,
    coloured_noise,
    level_shifts,
    noise,
    remembering_noise,
    slow_curve,
    slow_factor,
    standardise,
    trend,
)
from tracetune.data.synthetic.random_source import RandomSource

# Nested seasons, in steps, of the usual sampling intervals, and how often each interval is drawn.
CALENDARS: dict[str, tuple[tuple[float, float, float], float]] = {
    "minute": ((60, 1440, 10080), 0.5),
    "5 minutes": ((12, 288, 2016), 1.0),
    "10 minutes": ((6, 144, 1008), 1.5),
    "15 minutes": ((4, 96, 672), 3.0),
    "half hour": ((48, 336, 17532), 1.0),
    "hour": ((24, 168, 8766), 4.0),
    "day": ((7, 30.44, 365.25), 2.0),
    "week": ((4.35, 13.04, 52.18), 0.7),
    "month": ((3, 12, 60), 1.0),
    "quarter": ((4, 16, 40), 0.5),
}
_KNOTS = 96  # support points of one period of a shape
_WEEK = 7


def calendar_periods(n: int, source: RandomSource) -> Tensor:
    """Draw three nested periods a row, [n, 3]; a fifth of the rows have arbitrary ones."""
    periods = torch.tensor([periods for periods, _ in CALENDARS.values()], device=source.device)
    weights = torch.tensor([weight for _, weight in CALENDARS.values()], device=source.device)
    rows = periods[torch.multinomial(weights, n, replacement=True, generator=source.generator)]
    shortest = source.log_uniform(n, 1, low=4, high=120)
    ratios = source.log_uniform(n, 2, low=2, high=10).cumprod(1)
    arbitrary = torch.cat([shortest, shortest * ratios], 1)
    return torch.where(source.bernoulli(0.2, n, 1), arbitrary, rows)


def day_and_week(n: int, source: RandomSource) -> Tensor:
    """Draw the length of a day in steps, [n, 1], for series sampled more often than daily; a week is 7 of them."""
    days = torch.tensor([24.0, 24, 24, 96, 96, 144, 48, 288], device=source.device)
    return days[source.integers(0, len(days), n, 1)]


def smooth_shape(n: int, source: RandomSource, period: Tensor) -> Tensor:
    """Draw one period of a smooth shape, [n, 96]: harmonics of falling amplitude that the steps resolve."""
    order = source.time(_KNOTS // 2 + 1)  # [1, K]
    decay = source.uniform(n, 1, low=0.6, high=2.5)
    amplitude = torch.exp(-decay * order.clamp(min=1).log()) * (order >= 1) * (order <= (period / 2).clamp(max=12))
    spectrum = torch.view_as_complex(source.normal(n, _KNOTS // 2 + 1, 2)) * amplitude
    return standardise(torch.fft.irfft(spectrum, _KNOTS))


def sharp_shape(n: int, source: RandomSource, period: Tensor) -> Tensor:
    """Draw one period of a shape with peaks, [n, 96]: rush hours, opening times, plateaus."""
    shape = smooth_shape(n, source, period)
    peaked = torch.exp(shape * source.uniform(n, 1, low=0.3, high=1.3))
    plateau = torch.tanh(shape * source.uniform(n, 1, low=1, high=4))
    return standardise(torch.where(source.bernoulli(0.5, n, 1), peaked, plateau))


def repeat_shape(shape: Tensor, cycles: Tensor) -> Tensor:
    """Read the shape [n, K] at ``cycles`` [n, L], time counted in periods, by linear interpolation; [n, L]."""
    knots = shape.shape[1]
    position = (cycles - cycles.floor()) * knots
    left = position.long().clamp_(max=knots - 1)
    closed = torch.cat([shape, shape[:, :1]], 1)
    before, after = closed.gather(1, left), closed.gather(1, left + 1)
    return torch.lerp(before, after, position - left)


def season(n: int, length: int, source: RandomSource, period: Tensor, wander: float = 0.0) -> Tensor:
    """Draw a season of ``period`` [n, 1] in steps, from a random phase, [n, L].

    Args:
        n: rows.
        length: steps.
        source: random draws.
        period: steps per cycle, [n, 1].
        wander: largest deviation of the phase, in cycles.
    """
    cycles = source.time(length) / period + source.uniform(n, 1)
    if wander:
        cycles = cycles + slow_curve(n, length, source) * source.uniform(n, 1, high=wander)
    sharp = source.bernoulli(0.4, n, 1)
    shape = torch.where(sharp, sharp_shape(n, source, period), smooth_shape(n, source, period))
    return repeat_shape(shape, cycles)


def nested_seasons(n: int, length: int, source: RandomSource) -> Tensor:
    """Business and energy: nested calendar seasons of changing amplitude, a trend, noise; some multiplicative."""
    periods = calendar_periods(n, source)
    series = torch.zeros(n, length, device=source.device)
    for column in range(periods.shape[1]):
        strength = source.uniform(n, 1, low=0.1) * source.bernoulli(0.7, n, 1)
        series += strength * season(n, length, source, periods[:, column : column + 1])
    series = series * slow_factor(n, length, source, 0.5)
    series = series + trend(n, length, source) * source.uniform(n, 1, high=1.5) * source.bernoulli(0.5, n, 1)
    series = series + noise(n, length, source) * source.log_uniform(n, 1, low=0.02, high=0.8)
    multiplicative = source.bernoulli(0.2, n, 1)
    return torch.where(multiplicative, torch.exp(standardise(series) * source.uniform(n, 1, low=0.2)), series)


def working_week(n: int, length: int, source: RandomSource) -> Tensor:
    """Traffic, offices, electricity: a working-day and a weekend shape, days of varying height, hours that jitter."""
    day = day_and_week(n, source)
    days = (source.time(length) + source.uniform(n, 1) * _WEEK * day) / day
    number = days.floor().long()
    last = int(length // 24) + 2 * _WEEK  # days that any row can touch
    jitter = source.normal(n, last).clamp_(-3, 3) * source.uniform(n, 1, high=0.02)
    height = 1 + source.normal(n, last) * source.uniform(n, 1, high=0.25)
    cycles = days + jitter.gather(1, number)
    working, weekend = sharp_shape(n, source, day), smooth_shape(n, source, day)
    weekend = torch.lerp(working, weekend, source.uniform(n, 1)) * source.uniform(n, 1, low=0.2)
    is_weekend = number % _WEEK >= _WEEK - 2
    rest = source.uniform(n, 1, high=1.5) * is_weekend
    series = torch.where(is_weekend, repeat_shape(weekend, cycles), repeat_shape(working, cycles))
    series = series * height.gather(1, number) - rest
    return series + noise(n, length, source) * source.log_uniform(n, 1, low=0.03, high=0.5)


def transformer_load(n: int, length: int, source: RandomSource) -> Tensor:
    """Oil temperature and load of transformers: a level near a unit root, a daily rhythm that comes and goes."""
    day = day_and_week(n, source)
    memory = 1 - source.log_uniform(n, 1, low=0.002, high=0.05)
    shocks = torch.where(source.bernoulli(0.5, n, 1), source.normal(n, length), remembering_noise(n, length, source))
    level = standardise(autoregress(shocks, memory))
    rhythm = season(n, length, source, day, wander=0.05) * slow_factor(n, length, source, 0.8)
    weekly = season(n, length, source, _WEEK * day) * source.uniform(n, 1, high=0.4) * source.bernoulli(0.4, n, 1)
    series = level + rhythm * source.log_uniform(n, 1, low=0.1, high=1.5) + weekly
    series = series + level_shifts(n, length, source) * source.bernoulli(0.15, n, 1)
    return series + source.normal(n, length) * source.log_uniform(n, 1, low=0.02, high=0.4)


def weather(n: int, length: int, source: RandomSource) -> Tensor:
    """Temperature, humidity, pressure: fronts of some days, a daily cycle that clouds damp, a slow annual drift."""
    day = day_and_week(n, source)
    fronts = coloured_noise(n, length, source, 1.6, 2.6)
    clouds = torch.sigmoid(2 * coloured_noise(n, length, source, 1.2, 2.2) + source.normal(n, 1))
    cycle = season(n, length, source, day) * clouds * source.log_uniform(n, 1, low=0.1, high=2.5)
    annual = torch.sin(2 * math.pi * (source.time(length) / (365.25 * day) + source.uniform(n, 1)))
    series = fronts + cycle + 2 * annual * source.uniform(n, 1)
    return series + source.normal(n, length) * source.log_uniform(n, 1, low=0.005, high=0.2)


def sunlight(n: int, length: int, source: RandomSource) -> Tensor:
    """Solar radiation and photovoltaics: zero at night, a half wave by day, clouds per day and per hour."""
    day = day_and_week(n, source)
    days = source.time(length) / day + source.uniform(n, 1)
    height = torch.sin(2 * math.pi * days) + source.uniform(n, 1, low=-0.5, high=0.5)
    last = int(length // 24) + 3
    overcast = torch.sigmoid(source.normal(n, last) * source.uniform(n, 1, high=2) + 1).gather(1, days.floor().long())
    passing = torch.sigmoid(coloured_noise(n, length, source, 0.5, 1.8) * source.uniform(n, 1, high=2) + 1)
    return height.clamp(min=0) * overcast * passing
