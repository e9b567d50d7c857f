"""Streams of series: the numbers of predict_df, read lazily, nothing held that is not needed."""

import gc
import weakref
from collections import deque
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import CONTEXT, HORIZON, tiny_forecast_model
from tracetune import Forecaster, InputError
from tracetune.data.batch_source import Batch
from tracetune.data.panels import Panel
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import Scaler
from tracetune.estimators.forecasting.prediction import forecast_series
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles
from tracetune.tasks.forecasting.output import ForecastOutput

LENGTHS = (240, 3, 64, 100, 70, 1, 65)


def some_intervals(width: float = 1.0) -> ResidualQuantiles:
    values = np.sort(np.random.default_rng(0).normal(size=(HORIZON, len(LEVELS))), axis=1)
    return ResidualQuantiles(np.array(LEVELS), width * values)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster(tiny_forecast_model(), "tiny", intervals=some_intervals(), device="cpu")


def some_series(channels: int = 1, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    series = [rng.normal(5, 10.0 ** (number % 4), (channels, n)).cumsum(1) for number, n in enumerate(lengths)]
    series[0][:, 5:9] = np.nan
    return series


def names_of(channels: int) -> list[str]:
    return ["target", *(f"channel{index}" for index in range(1, channels))]


def frame_of(series: list[np.ndarray], first: int = 0) -> pd.DataFrame:
    frames = []
    for number, values in enumerate(series, first):
        times = pd.date_range("2024-01-01", periods=values.shape[1], freq="h") + pd.Timedelta(number, "D")
        names = names_of(len(values))
        frames.append(pd.DataFrame({"item_id": f"item{number}", "timestamp": times, **dict(zip(names, values))}))  # noqa: B905
    return pd.concat(frames, ignore_index=True)


def last_value(batch: Batch) -> ForecastOutput:
    """A model that repeats the last value."""
    past = batch["past_values"]
    return ForecastOutput(forecast=past[..., -1:].expand(-1, -1, HORIZON), scale=torch.ones(len(past), 1, 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 256])
def test_arrays_give_the_numbers_of_the_frame(forecaster: Forecaster, channels: int, batch_size: int) -> None:
    series = some_series(channels)
    whole = forecaster.predict_df(frame_of(series), batch_size=batch_size, freq="h", target=names_of(channels))
    forecasts = list(forecaster.predict_arrays(series, batch_size=batch_size))
    assert [forecast.shape for forecast in forecasts] == [(channels, HORIZON)] * len(series)
    np.testing.assert_array_equal(np.concatenate([forecast.ravel() for forecast in forecasts]), whole["predictions"])


@pytest.mark.parametrize("batch_size", [1, 2, 4, 256])
def test_frames_give_the_forecast_of_one_frame(forecaster: Forecaster, batch_size: int) -> None:
    series, options = (
        some_series(2),
        {"quantile_levels": [0.1, 0.9], "batch_size": batch_size, "freq": "h", "target": names_of(2)},
    )
    whole = forecaster.predict_df(frame_of(series), **options)
    frames = [frame_of(series[:1]), frame_of(series[1:4], 1), frame_of(series[4:], 4)]
    chunks = list(forecaster.predict_frames(iter(frames), **options))
    assert [chunk["item_id"].nunique() for chunk in chunks] == [1, 3, 3]
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), whole, check_exact=True)


def test_the_forecast_is_what_the_model_says_of_the_scaled_context(forecaster: Forecaster) -> None:
    """A plain loop over series, one at a time."""
    series = some_series()
    for values, forecast in zip(series, forecaster.predict_arrays(series), strict=True):
        scaler = Scaler.fit(values)
        scaled = torch.from_numpy(scaler.transform(values)).float()[None]
        with torch.no_grad():
            expected = forecaster.model(torch.nan_to_num(scaled), (~scaled.isnan()).float())["forecast"]
        expected = scaler.inverse_transform(expected[0].double().numpy())
        np.testing.assert_allclose(forecast, expected, rtol=1e-4, atol=1e-5 * scaler.scale.max())


@settings(max_examples=50)
@given(channels=st.lists(st.integers(1, 9), max_size=20), batch_size=st.integers(1, 12))
def test_rows_find_their_series_whatever_the_batches(channels: list[int], batch_size: int) -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(count, rng.integers(1, 100))) for count in channels]
    forecasts = list(forecast_series(last_value, series, CONTEXT, batch_size))
    assert len(forecasts) == len(series)
    for values, forecast in zip(series, forecasts, strict=True):
        np.testing.assert_allclose(forecast.points(), values[:, -1:].repeat(HORIZON, 1), rtol=1e-4, atol=1e-5)


def test_every_batch_but_the_last_is_full() -> None:
    sizes = []

    def counting(batch: Batch) -> ForecastOutput:
        sizes.append(len(batch["past_values"]))
        return last_value(batch)

    list(forecast_series(counting, iter(some_series(3, (10,) * 7)), CONTEXT, 4))
    assert sizes == [4, 4, 4, 4, 4, 1]


def test_series_are_read_a_batch_ahead_at_most(forecaster: Forecaster) -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield np.arange(20.0)[None] + read

    for given_out, _ in enumerate(forecaster.predict_arrays(endless(), batch_size=8), 1):
        assert read <= given_out + 8
        if given_out == 50:
            break


def test_arrays_and_frames_are_let_go(forecaster: Forecaster) -> None:
    """While forecasts come out, only the series that share the present batch may be alive."""
    alive: deque[weakref.ref] = deque()

    def arrays() -> Iterator[np.ndarray]:
        for _ in range(60):
            values = np.random.default_rng(0).normal(size=(1, 200))
            alive.append(weakref.ref(values))
            yield values
            del values

    for _ in forecaster.predict_arrays(arrays(), batch_size=4):
        assert sum(one() is not None for one in alive) <= 2
    alive.clear()

    def frames() -> Iterator[pd.DataFrame]:
        for number in range(10):
            frame = frame_of(some_series(lengths=(80,) * 5), number)
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    for _ in forecaster.predict_frames(frames(), batch_size=4):
        gc.collect()  # pandas has reference cycles
        assert sum(one() is not None for one in alive) <= 1


def test_waiting_panels_keep_their_last_steps_only(monkeypatch: pytest.MonkeyPatch, forecaster: Forecaster) -> None:
    waiting: list[Panel] = []
    from tracetune.estimators.forecasting import prediction as module

    last_steps = module.last_steps
    monkeypatch.setattr(module, "last_steps", lambda panel: waiting.append(last_steps(panel)) or waiting[-1])
    forecaster.predict_df(frame_of(some_series(2)), freq="h")
    for series in waiting[0]:
        assert all(array.base is None for array in vars(series).values() if isinstance(array, np.ndarray))
        assert len(series) <= 2


def test_predictions_are_made_in_inference_mode(forecaster: Forecaster) -> None:
    modes = []

    def watching(batch: Batch) -> ForecastOutput:
        modes.append((torch.is_inference_mode_enabled(), forecaster.model.training))
        return last_value(batch)

    for _ in forecast_series(watching, some_series(), CONTEXT, 2):
        assert not torch.is_inference_mode_enabled()  # the caller's own code is not
    assert set(modes) == {(True, False)}


def test_panels_are_frames_that_were_read(forecaster: Forecaster) -> None:
    frame = frame_of(some_series(), 0)
    panel = panel_from_frame(frame, freq="h")
    (forecast,) = forecaster.predict_frames([panel])
    pd.testing.assert_frame_equal(forecast, forecaster.predict_df(frame, freq="h"))
    with pytest.raises(InputError, match="found an empty one"):
        list(forecaster.predict_frames([Panel((), ("target",), "h")]))


def test_no_series_no_forecast(forecaster: Forecaster) -> None:
    assert list(forecaster.predict_arrays([])) == []
    assert list(forecaster.predict_frames([])) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(5), r"series 1 to have shape \[channels, steps\], found \[5\]"),
        (np.zeros((0, 5)), r"found \[0, 5\]"),
        (np.zeros((1, 0)), "found none in series 1"),
        (np.full((1, 5), np.nan), "found none in series 1"),
        (np.array([[1.0], [np.nan]]), "found none in channel 2 of 2 in series 1"),
        (np.array([[1.0, -2e300]]), r"at most 1e\+300 in magnitude, found larger ones in series 1"),
        (np.array([[1.0, np.inf]]), "Series 1 has infinite values"),
        (np.array([["a"]]), "Expected numbers in series 1"),
    ],
)
def test_unusable_arrays_are_refused(forecaster: Forecaster, bad: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(forecaster.predict_arrays([np.arange(5)[None], bad]))


def test_wrong_use_shows_at_the_call_or_the_first_series(forecaster: Forecaster) -> None:
    with pytest.raises(InputError, match=r"between 0 and 1, found 2\.0"):
        forecaster.predict_frames([], [2.0])
    with pytest.raises(InputError, match="batch_size of at least 1, found 0"):
        next(forecaster.predict_arrays(some_series(), batch_size=0))


def points_and_quantiles(forecaster: Forecaster, values: np.ndarray) -> np.ndarray:
    """Forecasts [C, H, 1 + Q] of one series."""
    offsets = forecaster.intervals.at([0.1, 0.9])
    (forecast,) = forecast_series(forecaster._for(None).output, [values], CONTEXT, 8)
    return np.concatenate([forecast.points()[..., None], forecast.quantiles(offsets)], axis=-1)


@pytest.mark.parametrize("constant", [0.0, 7.0, 0.1, -1e-300, 1e300, 123456789.123456789])
@pytest.mark.parametrize("length", [1, 40, 200])
def test_a_constant_context_is_forecast_as_that_constant(forecaster: Forecaster, constant: float, length: int) -> None:
    """Exactly, point and quantiles, each channel by itself, whatever the steps before the context were."""
    varying = np.random.default_rng(0).normal(size=length)
    early = np.array([[1e6, np.nan], [3.0, -2.0]])
    values = np.stack([np.full(length, constant), varying])
    values[0, length // 2 + 1 :: 3] = np.nan
    series = np.concatenate([early, values], axis=1) if length > CONTEXT else values
    forecast = points_and_quantiles(forecaster, series)
    np.testing.assert_array_equal(forecast[0], constant)
    assert np.isfinite(forecast[1]).all()


def test_a_small_level_after_a_large_one_is_forecast_as_it_is(forecaster: Forecaster) -> None:
    frame = frame_of([np.concatenate([[1e6], np.full(CONTEXT, 0.001)])[None]])
    forecast = forecaster.predict_df(frame, [0.1, 0.9], freq="h")
    np.testing.assert_array_equal(forecast[["predictions", "0.1", "0.9"]], 0.001)


def test_a_context_without_values_falls_back_to_the_series(forecaster: Forecaster) -> None:
    values = np.concatenate([np.full((1, 50), 1000.0) + np.arange(50) % 7, np.full((1, CONTEXT), np.nan)], axis=1)
    assert (np.abs(points_and_quantiles(forecaster, values) - 1003) < 100).all()


@settings(max_examples=60)
@given(
    exponent=st.integers(-297, 297),
    factor=st.floats(1.0, 9.0),
    shift=st.floats(-100.0, 100.0),
    seed=st.integers(0, 5),
)
def test_forecasts_follow_the_units_of_the_series(exponent: int, factor: float, shift: float, seed: int) -> None:
    """predict(a x + b) = a predict(x) + b, for every magnitude of a; quantiles too."""
    forecaster = Forecaster(tiny_forecast_model(), "tiny", intervals=some_intervals(), device="cpu")
    values = np.random.default_rng(seed).normal(size=(1, 100)).cumsum(1)
    a, b = factor * 10.0**exponent, shift * 10.0**exponent
    plain = points_and_quantiles(forecaster, values)
    scaled = points_and_quantiles(forecaster, a * values + b)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose((scaled - b) / a, plain, atol=2e-4 * values.std())


def test_what_would_overflow_is_refused(forecaster: Forecaster) -> None:
    forecaster = Forecaster(tiny_forecast_model(), "tiny", intervals=some_intervals(1e12), device="cpu")
    values = np.random.default_rng(0).normal(size=(1, 100)) * 1e298
    with pytest.raises(InputError, match="A forecast is not finite"):
        points_and_quantiles(forecaster, values)
    for bad in (1.5e308, -1e301):
        frame = frame_of([np.array([[1.0, bad, 2.0]])])
        with pytest.raises(InputError, match=r"at most 1e\+300 in magnitude, found larger ones in item 'item0'"):
            forecaster.predict_df(frame, freq="h")
