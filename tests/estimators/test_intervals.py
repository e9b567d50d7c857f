"""Quantiles of validation errors: NumPy's, by horizon step where there are windows enough."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, tiny_forecast_model
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles, conformal_levels, residual_quantiles


def errors(model: torch.nn.Module, windows: Windows) -> np.ndarray:
    """(truth - forecast) / deviation of the context, [windows, H], computed window by window."""
    rows = []
    with torch.inference_mode():
        for window in (windows[index] for index in range(len(windows))):
            output = model(window["past_values"][None], window["input_mask"][None])
            rows.append(((window["future_values"] - output.forecast[0]) / output.scale[0]).numpy()[0])
    return np.stack(rows)


@pytest.mark.parametrize(("count", "pooled"), [(1, True), (19, True), (20, False)])
def test_quantiles_are_numpy_s_at_conformal_levels(count: int, pooled: bool) -> None:
    series = np.random.default_rng(0).normal(size=(1, CONTEXT + HORIZON + count - 1))
    windows, model = Windows([series], CONTEXT, HORIZON), tiny_forecast_model()
    assert len(windows) == count
    found = residual_quantiles(model, windows)
    expected = errors(model, windows)
    expected = np.repeat(expected.reshape(-1, 1), HORIZON, axis=1) if pooled else expected
    levels = conformal_levels(LEVELS, count)
    np.testing.assert_allclose(found.values, np.quantile(expected, levels, axis=0).T, atol=1e-5)
    low, high = found.at([0.1, 0.9]).T
    assert (low < high).all()


def test_conformal_levels_hold_a_new_error_as_often_as_they_say() -> None:
    """Between 9 uniform numbers, each gap is as likely: a level beyond the k-th of them holds k / 10."""
    np.testing.assert_allclose(conformal_levels([0.1, 0.3, 0.5, 0.9, 0.99], 9), [0.0, 2 / 9, 0.5, 1.0, 1.0])
    random = np.random.default_rng(0)
    held = []
    for _ in range(4000):
        errors, new = random.normal(size=12), random.normal()
        low, high = np.quantile(errors, conformal_levels([0.1, 0.9], len(errors)), method="inverted_cdf")
        held.append(low <= new <= high)
    assert np.mean(held) == pytest.approx(0.83, abs=0.03)  # of 13 places, at least 10.4 are inside
    plain = residual_quantiles(tiny_forecast_model(), _windows(40)).values
    few = residual_quantiles(tiny_forecast_model(), _windows(40), independent=4).values
    assert (few[:, -3] > plain[:, -3]).all() and (few[:, 2] < plain[:, 2]).all()


def _windows(count: int) -> Windows:
    return Windows([np.random.default_rng(0).normal(size=(1, CONTEXT + HORIZON + count - 1))], CONTEXT, HORIZON)


def test_levels_that_were_not_estimated_are_refused() -> None:
    series = np.random.default_rng(0).normal(size=(1, CONTEXT + HORIZON))
    quantiles = residual_quantiles(tiny_forecast_model(), Windows([series], CONTEXT, HORIZON))
    with pytest.raises(InputError, match=r"between 0\.01 and 0\.99, found 0\.999"):
        quantiles.at([0.999])


def test_lower_quantiles_are_never_above_the_point_forecast() -> None:
    """A bias in the validation errors does not move the median, and tails keep what was estimated."""
    biased = ResidualQuantiles(
        np.array([0.1, 0.5, 0.9]), np.array([[0.2, 0.6, 1.0], [-3.0, -2.0, -0.5], [-1.0, 0.1, 2.0]])
    )
    expected = [[0.0, 0.0, 1.0], [-3.0, 0.0, 0.0], [-1.0, 0.0, 2.0]]
    np.testing.assert_array_equal(biased.at([0.1, 0.5, 0.9]), expected)
    assert (np.diff(biased.at(np.linspace(0.1, 0.9, 41)), axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "Expected f to be an object"),
        ({"levels": [0.1]}, "f has no values"),
        ({"levels": [0.1, 0.9], "values": [[1, 2], [1]]}, r"rows of one length in the values of f, found \[1, 2\]"),
        ({"levels": [], "values": [[]]}, r"Expected quantile levels \[Q\]"),
        ({"levels": [0.9, 0.1], "values": [[1, 2]]}, "Expected ascending quantile levels"),
        ({"levels": [0.1, 0.9], "values": [[2, 1]]}, "ascend with their levels"),
        ({"levels": [0.1, 0.9], "values": [[None, 1]]}, r"Expected values\[0\]\[0\] in f to be a finite number"),
    ],
)
def test_unusable_tables_are_refused(content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResidualQuantiles.from_dict(content, "f")


def test_constant_contexts_and_steps_that_were_never_observed_say_nothing() -> None:
    """A jump after a constant would be 100,000 deviations; a step without errors takes those of all steps."""
    count = 40
    series = np.random.default_rng(0).normal(size=(1, CONTEXT + HORIZON + count - 1))
    plain = residual_quantiles(tiny_forecast_model(), Windows([series], CONTEXT, HORIZON))
    jump = np.zeros((1, CONTEXT + HORIZON))
    jump[0, CONTEXT:] = 1.0
    beside = residual_quantiles(tiny_forecast_model(), Windows([series, jump], CONTEXT, HORIZON))
    np.testing.assert_array_equal(beside.values, plain.values)
    nothing = residual_quantiles(tiny_forecast_model(), Windows([jump], CONTEXT, HORIZON))
    np.testing.assert_array_equal(nothing.values, 0.0)

    windows = Windows([series], CONTEXT, HORIZON, stride=HORIZON)
    gappy = Windows([np.tile(series, 8)], CONTEXT, HORIZON, stride=HORIZON)
    assert len(windows) < 20 <= len(gappy)
    for array in gappy.values:
        array[0, CONTEXT + 3 :: HORIZON] = np.nan  # the fourth step of every future
    values = residual_quantiles(tiny_forecast_model(), gappy).values
    assert np.isfinite(values).all()
    assert values[3, 0] < -0.5 < 0.5 < values[3, -1]
