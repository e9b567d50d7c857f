import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

from tracetune.base.errors import InputError
from tracetune.data.batch_source import OtherRows, identity_collate, spread_rows
from tracetune.data.windows import Windows, context_batch


def random_series(lengths, channels=1, missing=0.2, seed=0):
    rng = np.random.default_rng(seed)
    series = [rng.normal(size=(channels, length)).astype(np.float32) for length in lengths]
    for values in series:
        values[rng.random(values.shape) < missing] = np.nan
    return series


def naive_window(values, channel, origin, context, horizon):
    """The window cut out step by step: padded, then missing values zeroed."""
    steps = [values[channel, t] if t >= 0 else np.nan for t in range(origin - context, origin + horizon)]
    row = np.array(steps, dtype=np.float32)
    observed = ~np.isnan(row)
    filled = np.where(observed, row, 0)
    return filled[:context], observed[:context], filled[context:], observed[context:]


def origins(first, stop, horizon, stride):
    return list(range(first, stop - horizon + 1, stride))


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(4, 40), min_size=1, max_size=4),
    channels=st.integers(1, 3),
    context=st.integers(1, 12),
    horizon=st.integers(1, 3),
    stride=st.integers(1, 4),
    begin=st.floats(0, 0.5),
)
def test_every_window_is_the_naive_slice(lengths, channels, context, horizon, stride, begin):
    values = random_series(lengths, channels)
    ranges = [(int(begin * (length - horizon)), length) for length in lengths]
    windows = Windows(values, context, horizon, ranges, stride)

    expected = []
    for index, (start, stop) in enumerate(ranges):
        if start > 0:
            first = start
        elif context + horizon <= stop:
            first = context
        else:
            first = max(1, min(horizon, context, stop - horizon))
        for origin in origins(first, stop, horizon, stride):
            expected += [(index, channel, origin) for channel in range(channels)]

    assert [windows.locate(i) for i in range(len(windows))] == expected
    batch = windows.__getitems__(list(range(len(windows))))
    for row, (index, channel, origin) in enumerate(expected):
        naive = naive_window(values[index], channel, origin, context, horizon)
        single = windows[row]
        names = ("past_values", "input_mask", "future_values", "future_mask")
        for name, wanted in zip(names, naive, strict=True):
            np.testing.assert_array_equal(batch[name][row, 0].numpy(), wanted)
            assert torch.equal(single[name], batch[name][row])
            assert single[name].dtype == torch.float32


def test_counts_of_the_long_horizon_protocol():
    values = random_series([14400], channels=7, missing=0)
    train = Windows(values, 512, 96, [(0, 8640)])
    validation = Windows(values, 512, 96, [(8640, 11520)])
    assert len(train) == 7 * (8640 - 512 - 96 + 1)
    assert len(validation) == 7 * (2880 - 96 + 1)
    assert train.locate(0) == (0, 0, 512)
    assert train.locate(6) == (0, 6, 512)
    assert validation.locate(0) == (0, 0, 8640)
    assert validation.locate(-1) == (0, 6, 11520 - 96)
    np.testing.assert_array_equal(validation[0]["past_values"][0], values[0][0, 8640 - 512 : 8640])


def test_short_series_are_padded_on_the_left():
    windows = Windows([np.arange(1, 10, dtype=np.float32)[None]], context_length=8, prediction_length=3)
    assert [windows.locate(i)[2] for i in range(len(windows))] == [3, 4, 5, 6]
    first = windows[0]
    assert first["input_mask"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]
    assert first["past_values"].tolist() == [[0, 0, 0, 0, 0, 1, 2, 3]]
    assert first["future_values"].tolist() == [[4, 5, 6]]


def test_a_series_of_one_step_more_than_the_horizon_still_gives_a_window():
    windows = Windows([np.ones((1, 7), np.float32)], context_length=36, prediction_length=6)
    assert len(windows) == 1
    assert windows[0]["input_mask"].sum() == 1


def test_min_context_adds_padded_windows_to_long_series():
    windows = Windows([np.ones((1, 30), np.float32)], 10, 5, min_context=2)
    assert [windows.locate(0)[2], windows.locate(len(windows) - 1)[2]] == [2, 25]


def test_min_context_of_each_series():
    values = [np.ones((1, 9), np.float32), np.ones((1, 5), np.float32)]
    windows = Windows(values, context_length=6, prediction_length=4, min_context=[3, 1])
    assert [windows.locate(i)[::2] for i in range(len(windows))] == [(0, 3), (0, 4), (0, 5), (1, 1)]
    assert windows.per_series().tolist() == [3, 1]


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(5, 30), min_size=1, max_size=3),
    channels=st.integers(1, 2),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_windows_without_values_are_found(lengths, channels, stride, seed):
    windows = Windows(random_series(lengths, channels, missing=0.7, seed=seed), 3, 2, stride=stride)
    batch = windows.__getitems__(list(range(len(windows))))
    empty = (batch["future_mask"].sum((1, 2)) == 0) | (batch["input_mask"].sum((1, 2)) == 0)
    found = windows.without_values()
    assert found.tolist() == torch.nonzero(empty).flatten().tolist()

    rest = OtherRows(windows, found)
    kept = torch.nonzero(~empty).flatten().tolist()
    assert len(rest) == len(kept)
    assert rest.rows_of(np.arange(len(rest))).tolist() == kept
    if kept:
        ends = rest.__getitems__([0, len(kept) - 1])
        assert torch.equal(ends["past_values"], batch["past_values"][[kept[0], kept[-1]]])


def test_spread_rows_are_one_of_each_part_and_meet_every_hour():
    rows = spread_rows(2400, 100, seed=0)
    assert (rows // 24).tolist() == list(range(100))
    assert len(set(rows % 24)) > 20  # a fixed step would meet one hour
    assert rows.tolist() == spread_rows(2400, 100, seed=0).tolist() != spread_rows(2400, 100, seed=1).tolist()
    assert spread_rows(5, 9, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_series_too_short_for_a_window_is_passed_over():
    windows = Windows([np.ones((1, 3), np.float32), np.ones((1, 9), np.float32)], 4, 3)
    assert {windows.locate(i)[0] for i in range(len(windows))} == {1}


def test_missing_values_are_zero_and_masked():
    values = np.array([[1, np.nan, 3, 4, np.nan, 6]], dtype=np.float32)
    window = Windows([values], 3, 3)[0]
    assert window["past_values"].tolist() == [[1, 0, 3]]
    assert window["input_mask"].tolist() == [[1, 0, 1]]
    assert window["future_values"].tolist() == [[4, 0, 6]]
    assert window["future_mask"].tolist() == [[1, 0, 1]]


def test_data_loader_and_subset_take_whole_batches(monkeypatch):
    windows = Windows(random_series([50, 60], channels=2), 8, 4)
    monkeypatch.setattr(Windows, "__getitem__", None)  # only whole batches may be asked for
    chosen = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))[:10].tolist()
    loader = DataLoader(Subset(windows, chosen), batch_size=4, collate_fn=identity_collate)
    batches = list(loader)
    assert [len(batch["past_values"]) for batch in batches] == [4, 4, 2]
    stacked = torch.cat([batch["future_values"] for batch in batches])
    assert torch.equal(stacked, windows.__getitems__(chosen)["future_values"])


def test_windows_end_like_a_sequence():
    windows = Windows([np.ones((1, 10), np.float32)], 3, 2)
    assert len(list(windows)) == len(windows) == 6
    with pytest.raises(IndexError, match="6 windows"):
        windows[6]


def test_series_are_shared_and_memory_does_not_grow_with_the_number_of_windows():
    values = random_series([200_000], channels=2, missing=0)
    tracemalloc.start()
    windows = Windows(values, 512, 96)
    windows.__getitems__(list(range(0, len(windows), len(windows) // 16)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(windows) > 390_000
    assert np.shares_memory(windows.values[0], values[0])
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context_length": 0}, "Expected context_length of at least 1, found 0"),
        ({"prediction_length": 0}, "Expected prediction_length of at least 1, found 0"),
        ({"stride": 0}, "Expected stride of at least 1, found 0"),
        ({"min_context": 5}, r"Expected min_context between 1 and 4 \(T\), found 5"),
        ({"min_context": [1, 1]}, "Expected a min_context for each of 1 series, found 2"),
        ({"prediction_length": 10}, "No window fits: each needs 10 target steps.*longest of 1 ranges has 10 steps"),
        ({"ranges": [(0, 5), (0, 5)]}, "Expected a range for each of 1 series, found 2"),
        ({"ranges": [(0, 11)]}, "Expected a range within 0 and 10 for series 0, found 0 to 11"),
        ({"values": [np.ones(10, np.float32)]}, r"Expected series of shape \[channels, steps\], found shape \[10\]"),
        ({"values": []}, "No window fits"),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    usual = {"values": [np.ones((1, 10), np.float32)], "context_length": 4, "prediction_length": 2}
    with pytest.raises(InputError, match=message):
        Windows(**(usual | arguments))


def test_context_batch_gives_the_last_steps_of_every_channel():
    values = [np.arange(10, dtype=np.float32).reshape(2, 5), np.array([[7, np.nan]], dtype=np.float32)]
    batches = list(context_batch(values, context_length=3, batch_size=2))
    assert [len(batch["past_values"]) for batch in batches] == [2, 1]
    assert batches[0]["past_values"].tolist() == [[[2, 3, 4]], [[7, 8, 9]]]
    assert batches[0]["input_mask"].min() == 1
    assert batches[1]["past_values"].tolist() == [[[0, 7, 0]]]
    assert batches[1]["input_mask"].tolist() == [[[0, 1, 0]]]


def test_context_batch_is_lazy():
    endless = (np.ones((1, 4), np.float32) for _ in iter(int, 1))
    assert next(context_batch(endless, 4, batch_size=3))["past_values"].shape == (3, 1, 4)


def test_context_batch_does_not_overwrite_batches_handed_out():
    values = [np.full((1, 2), fill, np.float32) for fill in range(3)]
    batches = list(context_batch(values, 2, batch_size=1))
    assert [batch["past_values"][0, 0, 0].item() for batch in batches] == [0, 1, 2]
