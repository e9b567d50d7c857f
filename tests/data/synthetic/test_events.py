"""Events: counts are counts of their rates, intermittent demand is intermittent, machines switch."""

import pytest
import torch
from torch import Tensor

from tracetune.data.synthetic import events
from tracetune.data.synthetic.random_source import RandomSource

N = 1000


def test_counts_are_whole_numbers_with_the_mean_of_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[Tensor] = []
    draw = RandomSource.poisson
    monkeypatch.setattr(RandomSource, "poisson", lambda self, rate: (rates.append(rate), draw(self, rate))[1])
    rows = events.counts(N, 256, RandomSource(0))
    (rate,) = rates
    assert torch.equal(rows, rows.round())
    assert rows.min() == 0
    deviation = (rows - rate).sum(1) / rate.sum(1).sqrt()  # standard normal if the counts are Poisson
    assert deviation.mean().item() == pytest.approx(0, abs=0.15)
    assert deviation.std().item() == pytest.approx(1, abs=0.1)


def test_intermittent_demand_is_mostly_zero_and_never_negative() -> None:
    rows = events.intermittent(N, 512, RandomSource(0))
    assert rows.min() >= 0
    zeros = (rows == 0).float().mean(1)
    assert zeros.mean() > 0.75
    # Rates are log-uniform in [0.03, 0.5]; a rhythm cut at zero adds a little.
    assert (1 - zeros).mean().item() == pytest.approx(0.47 / torch.tensor(0.5 / 0.03).log().item(), rel=0.15)
    assert (rows == rows.round()).all(1).float().mean() > 0.58


def test_spikes_make_tails_heavier_than_normal() -> None:
    rows = events.spikes_and_shifts(N, 512, RandomSource(0))
    standard = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
    assert (standard.pow(4).mean(1) > 6).float().mean() > 0.3


def test_duty_cycles_spend_their_time_at_two_levels() -> None:
    rows = events.duty_cycle(N, 512, RandomSource(0))
    standard = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
    skewness, kurtosis = standard.pow(3).mean(1), standard.pow(4).mean(1)
    # Sarle's bimodality coefficient: 1/3 for a normal distribution, 5/9 for a uniform, 1 for two points.
    assert ((skewness.square() + 1) / kurtosis).median() > 0.7
