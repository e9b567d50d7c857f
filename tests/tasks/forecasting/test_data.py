from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny import seasonal_frame
from tracetune.base.errors import InputError
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import PanelSplit, Part, fit_split
from tracetune.data.windows import batches
from tracetune.estimators.forecasting.fit_data import split_frames
from tracetune.tasks.forecasting.data import forecast_data


def panel_of(*arrays):
    series = tuple(Series(f"s{i}", np.arange(array.shape[1]), array) for i, array in enumerate(arrays))
    return Panel(series, tuple(f"c{i}" for i in range(len(arrays[0]))), None)


def noise(*lengths, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(channels, length)) for length in lengths]


def short_panel_data(lengths, horizon=4, context=512):
    frame = seasonal_frame(items=1, length=max(lengths))[["timestamp", "target"]]
    parts = [frame.head(length).assign(item_id=f"i{number}") for number, length in enumerate(lengths)]
    found = split_frames(pd.concat(parts, ignore_index=True), None, context, horizon)
    return forecast_data(found.panel, found.split, context, horizon, min_context=found.min_context)


def test_every_series_long_enough_for_one_target_trains():
    lengths = [4, 5, *range(7, 44)]
    counts = short_panel_data(lengths).counts
    assert counts.training_series == counts.series - 1  # four steps are a horizon without anything before it
    assert counts.training_windows > 200
    assert counts.validation_series == sum(length >= 9 for length in lengths)
    assert "38 of 39 series train" in counts.describe()
    assert "1 do not train" in counts.describe()


def test_the_number_of_validation_windows_is_kept_to_and_spread_over_items():
    panel = panel_of(*noise(*[120] * 300))
    data = forecast_data(panel, fit_split(panel, 12), 36, 12, validation_windows=64)
    assert len(data.validation) == data.counts.validation_windows == len(data.groups.items) == 64
    assert data.counts.possible_validation_windows == 300 * 13  # one period of 24 steps each
    assert data.counts.validation_series == 64


def test_validation_windows_are_drawn_alike_from_every_period_and_hour():
    panel = panel_of(*noise(4800, channels=2))
    data = forecast_data(panel, fit_split(panel, 24), 48, 24, validation_windows=500)
    assert np.bincount(data.groups.periods).tolist() == [100] * 5
    assert set(data.groups.items) == {0, 1}
    again = forecast_data(panel, fit_split(panel, 24), 48, 24, validation_windows=500)
    one, other = (next(batches(part.validation, 500))["future_values"] for part in (data, again))
    assert torch.equal(one, other)


def test_no_training_window_contains_a_validation_value_and_periods_share_none():
    values = np.arange(1.0, 601.0)[None]  # a value names its step
    panel = panel_of(values)
    data = forecast_data(panel, fit_split(panel, 12), 24, 12)
    train, validation = (next(batches(part, 10_000))["future_values"] for part in (data.train, data.validation))
    assert train.max() < validation.min()
    periods = [validation[torch.from_numpy(data.groups.periods == period)] for period in range(5)]
    assert all(early.max() < late.min() for early, late in pairwise(periods))


def test_windows_without_an_observed_target_are_left_out():
    (values,) = noise(300)
    values[:, 100:130] = np.nan
    values[:, 260:285] = np.nan
    panel = panel_of(values)
    data = forecast_data(panel, fit_split(panel, 12, "last"), 24, 12, rolling=False)
    for part in (data.train, data.validation):
        for batch in batches(part, 64):
            assert batch["future_mask"].sum((1, 2)).min() >= 1
            assert batch["input_mask"].sum((1, 2)).min() >= 1
    assert data.counts.windows_without_values > 19
    assert len(data.train) == data.counts.training_windows


def test_one_item_that_breaks_does_not_outweigh_the_others():
    broken = np.concatenate([np.zeros((1, 200)), np.full((1, 40), 1000.0)], axis=1)
    panel = panel_of(*noise(*[240] * 20), broken)
    data = forecast_data(panel, fit_split(panel, 12), 24, 12)
    losses = next(batches(data.validation, 999))["future_values"].square().mean((1, 2)).numpy()
    sums = np.bincount(data.groups.items, weights=losses)
    assert sums[-1] < 0.2 * sums.sum()


def test_items_that_only_validate_count_like_the_others():
    panel = panel_of(*noise(200), 1e6 * noise(200, seed=1)[0])
    split = PanelSplit((Part(0, 200), Part(0, 0)), (Part(200, 200), Part(0, 200)), (Part(200, 200),) * 2)
    data = forecast_data(panel, split, 24, 12)
    batch = next(batches(data.validation, 999))
    assert 0.3 < batch["future_values"].square().mean() < 3
    assert (data.counts.training_series, data.counts.validation_series) == (1, 1)


def test_a_part_without_any_value_is_refused():
    (values,) = noise(240)
    values[:, 180:] = np.nan
    panel = panel_of(values)
    with pytest.raises(InputError, match="Every value of the validation part is missing"):
        forecast_data(panel, fit_split(panel, 12), 24, 12)
