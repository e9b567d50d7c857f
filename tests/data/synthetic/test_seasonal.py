"""Seasons: periods found again by autocorrelation and FFT, shapes within what the steps resolve."""

import pytest
import torch
from torch import Tensor

from tracetune.data.synthetic import seasonal
from tracetune.data.synthetic.random_source import RandomSource

N = 400


def autocorrelation(rows: Tensor, lag: int) -> float:
    """Mean autocorrelation of rows [n, L] at a lag."""
    centred = rows - rows.mean(1, keepdim=True)
    return ((centred[:, lag:] * centred[:, :-lag]).mean(1) / centred.square().mean(1)).mean().item()


@pytest.fixture
def _hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seasonal, "day_and_week", lambda n, source: torch.full((n, 1), 24.0))


def test_calendar_periods_are_nested() -> None:
    periods = seasonal.calendar_periods(2000, RandomSource(0))
    assert (periods[:, 1:] > periods[:, :-1]).all()
    known = {calendar for calendar, _ in seasonal.CALENDARS.values()}
    rounded = {tuple(float(f"{value:.6g}") for value in calendar) for calendar in known}
    share = sum(tuple(float(f"{value:.6g}") for value in row) in rounded for row in periods.tolist()) / 2000
    assert share == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("period", [7, 24, 96])
def test_a_season_repeats_after_its_period(period: int) -> None:
    rows = seasonal.season(N, 4 * period, RandomSource(0), torch.full((N, 1), float(period)))
    torch.testing.assert_close(rows[:, period:], rows[:, :-period], atol=2e-3, rtol=0)
    assert rows.std(1).min() > 0.1


@pytest.mark.parametrize("period", [12.0, 24.0, 96.0])
def test_a_season_is_the_strongest_frequency_or_a_harmonic_of_it(period: float) -> None:
    cycles = 16
    rows = seasonal.season(N, int(cycles * period), RandomSource(0), torch.full((N, 1), period))
    strongest = torch.fft.rfft(rows - rows.mean(1, keepdim=True)).abs().argmax(1)
    assert (strongest % cycles == 0).all()
    assert (strongest == cycles).float().mean() > 0.5


def test_a_wandering_phase_blurs_the_season() -> None:
    period = torch.full((N, 1), 24.0)
    strict = seasonal.season(N, 480, RandomSource(0), period)
    loose = seasonal.season(N, 480, RandomSource(0), period, wander=0.5)
    assert autocorrelation(strict, 240) > 0.99
    assert autocorrelation(loose, 240) < 0.9


@pytest.mark.parametrize(("period", "highest"), [(6.0, 3), (24.0, 12), (96.0, 12)])
def test_smooth_shapes_have_no_harmonic_that_the_steps_cannot_resolve(period: float, highest: int) -> None:
    shape = seasonal.smooth_shape(N, RandomSource(0), torch.full((N, 1), period))
    spectrum = torch.fft.rfft(shape).abs().mean(0)
    assert spectrum[highest + 1 :].max() < 1e-3 * spectrum[1]
    assert spectrum[1 : highest + 1].min() > 1e-3 * spectrum[1]


def test_repeat_shape_interpolates_between_knots_and_around_the_end() -> None:
    shape = torch.tensor([[0.0, 1.0, 4.0, 1.0]])
    read = seasonal.repeat_shape(shape, torch.tensor([[0.0, 0.125, 0.5, 0.875, 1.0, 3.25, -0.5]]))
    torch.testing.assert_close(read, torch.tensor([[0.0, 0.5, 4.0, 0.5, 0.0, 1.0, 4.0]]))


@pytest.mark.usefixtures("_hourly")
def test_a_working_week_repeats_weekly_more_than_daily() -> None:
    rows = seasonal.working_week(N, 24 * 7 * 4, RandomSource(0))
    weekly, daily, half_daily = (autocorrelation(rows, lag) for lag in (24 * 7, 24 * 3, 12))
    assert weekly > daily + 0.1
    assert daily > half_daily + 0.1


@pytest.mark.usefixtures("_hourly")
@pytest.mark.parametrize("make", [seasonal.transformer_load, seasonal.weather, seasonal.sunlight])
def test_days_stand_out_of_the_spectrum(make) -> None:
    days = 20
    rows = make(N, 24 * days, RandomSource(0))
    spectrum = torch.fft.rfft(rows - rows.mean(1, keepdim=True)).abs().square().mean(0)
    assert spectrum[days] > 3 * spectrum[[days - 3, days - 2, days + 2, days + 3]].max()


@pytest.mark.usefixtures("_hourly")
def test_the_sun_does_not_shine_at_night() -> None:
    rows = seasonal.sunlight(N, 24 * 10, RandomSource(0))
    assert rows.min() == 0
    dark = (rows == 0).float().mean(1)
    assert 0.3 < dark.min() < dark.max() < 0.7
    assert dark.mean().item() == pytest.approx(0.5, abs=0.03)
    darkness = (rows == 0).float()
    assert torch.equal(darkness[:, 24:].mean(0) > 0, torch.ones(24 * 9, dtype=torch.bool))
    assert (darkness[:, 24:] != darkness[:, :-24]).float().mean() < 0.02


def test_some_nested_seasons_are_multiplicative() -> None:
    positive = (seasonal.nested_seasons(2000, 256, RandomSource(0)) > 0).all(1).float().mean().item()
    assert 0.2 <= positive < 0.5  # a fifth always is, of the others few
