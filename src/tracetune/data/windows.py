"""Windows over series as a data set computed by index: memory does not grow with their number."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tracetune.base.errors import InputError, argument
from tracetune.data.batch_source import Batch, BatchSource


class Windows(Dataset[Batch]):
    """Every window of T context and H target steps, one channel each, over series of any lengths.

    A window is named by its origin, the index of its first target: context ``[origin - T, origin)``, targets
    ``[origin, origin + H)``. All targets lie in the range of their series; the context may begin before the range.
    Order of the windows: by series, then by origin, then by channel, so that C neighbours are one multivariate window.

    Where a series has too little context, windows are padded on the left (value 0, mask 0):

    - a range that starts at 0 has full contexts only, from origin T on; if not even one fits, it has padded windows
      with as many real context steps as the horizon has (fewer, at least 1, if the series is shorter than that);
    - a range that starts later has windows from its very start, with what lies before it as context;
    - ``min_context`` replaces both rules: every window with that many real context steps, full or padded.

    The same array may come several times with other ranges: it is not copied.

    >>> windows = Windows([np.arange(12.0)[None]], context_length=4, prediction_length=2, stride=3)
    >>> len(windows)
    3
    >>> windows[0]["past_values"].tolist(), windows[0]["future_values"].tolist()
    ([[0.0, 1.0, 2.0, 3.0]], [[4.0, 5.0]])

    Args:
        values: one array [C, L] a series, NaN where missing; float32 arrays are used as they are, without a copy.
        context_length: T.
        prediction_length: H.
        ranges: targets ``[start, stop)`` of each series; None means all steps.
        stride: steps between the origins of one series.
        min_context: least number of context steps inside a series, one number or one a series; None for the rules
            above.

    Raises:
        InputError: a length below 1, ranges that do not fit the series, or not a single window.
    """

    def __init__(
        self,
        values: Sequence[np.ndarray],
        context_length: int,
        prediction_length: int,
        ranges: Sequence[tuple[int, int]] | None = None,
        stride: int = 1,
        min_context: int | Sequence[int] | None = None,
    ) -> None:
        _require_positive(context_length=context_length, prediction_length=prediction_length, stride=stride)
        self.context_length = context_length
        self.prediction_length = prediction_length
        self.stride = stride
        self.values = [np.asarray(array, dtype=np.float32) for array in values]
        lengths = [_series_length(array) for array in self.values]
        targets = [(0, length) for length in lengths] if ranges is None else _checked_ranges(ranges, lengths)
        least = _checked_contexts(min_context, len(lengths), context_length)
        first = [
            first_origin(*bounds, context_length, prediction_length, shortest)
            for bounds, shortest in zip(targets, least, strict=True)
        ]
        self._first = np.array(first, dtype=np.int64)
        stops = np.array([stop for _, stop in targets], dtype=np.int64)
        origins = np.maximum((stops - prediction_length - self._first) // stride + 1, 0)
        self._channels = np.array([len(array) for array in self.values], dtype=np.int64)
        self._ends = np.cumsum(origins * self._channels)
        if len(self) == 0:
            longest = max((stop - start for start, stop in targets), default=0)
            raise InputError(
                f"No window fits: each needs {prediction_length} target steps ({argument('prediction_length')}) and "
                f"some context, the longest of {len(lengths)} ranges has {longest} steps. Use longer series or a "
                f"shorter {argument('prediction_length')}."
            )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Batch:
        """Return one window: ``past_values``, ``input_mask`` [1, T] and ``future_values``, ``future_mask`` [1, H]."""
        return {name: tensor[0] for name, tensor in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return a batch of windows: the tensors of `__getitem__`, stacked to [B, 1, T] and [B, 1, H].

        A DataLoader calls it with the indices of a batch; give it ``collate_fn=identity_collate``.
        """
        series, channel, origin = self.locate_rows(np.asarray(indices, dtype=np.int64))
        length = self.context_length + self.prediction_length
        window = np.full((len(series), length), np.nan, dtype=np.float32)
        rows = zip(window, series.tolist(), channel.tolist(), origin.tolist(), strict=True)
        for row, s, c, o in rows:  # slices copy faster than a gather by an index array of B * (T + H) numbers
            start = o - self.context_length
            row[max(0, -start) :] = self.values[s][c, max(0, start) : o + self.prediction_length]
        past, past_mask = _masked(window[:, : self.context_length])
        future, future_mask = _masked(window[:, self.context_length :])
        return {"past_values": past, "input_mask": past_mask, "future_values": future, "future_mask": future_mask}

    def borders(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what tells these windows from others over the same series: first origins, window counts, lengths."""
        lengths = np.array([self.context_length, self.prediction_length, self.stride], dtype=np.int64)
        return self._first, self._ends, lengths

    def locate(self, index: int) -> tuple[int, int, int]:
        """Return series, channel and origin of window ``index``."""
        series, channel, origin = self.locate_rows(np.array([index], dtype=np.int64))
        return int(series[0]), int(channel[0]), int(origin[0])

    def locate_rows(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return series, channel and origin of each of the windows ``indices``."""
        indices = np.where(indices < 0, indices + len(self), indices)
        if ((indices < 0) | (indices >= len(self))).any():
            raise IndexError(f"window index out of range for {len(self)} windows")
        series = np.searchsorted(self._ends, indices, side="right")
        before = np.where(series > 0, self._ends[series - 1], 0)
        step, channel = np.divmod(indices - before, self._channels[series])
        return series, channel, self._first[series] + step * self.stride

    def per_series(self) -> np.ndarray:
        """Return how many windows each series has."""
        return np.diff(self._ends, prepend=0)

    def without_values(self) -> np.ndarray:
        """Return the indices of windows with no observed target, or with no observed context; usually none."""
        found = []
        starts = np.concatenate([[0], self._ends[:-1]])
        for s, (array, begin, end) in enumerate(zip(self.values, starts, self._ends, strict=True)):
            missing = np.isnan(array)
            if end == begin or not missing.any():
                continue
            origins = self._first[s] + self.stride * np.arange((end - begin) // len(array))
            observed = np.pad(np.cumsum(~missing, axis=1), ((0, 0), (1, 0)))  # [C, L + 1], how many before each step
            targets = observed[:, origins + self.prediction_length] - observed[:, origins]
            context = observed[:, origins] - observed[:, np.maximum(origins - self.context_length, 0)]
            found.append(begin + np.flatnonzero(((targets == 0) | (context == 0)).T))
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def first_origin(
    start: int, stop: int, context_length: int, prediction_length: int, min_context: int | None = None
) -> int:
    """Return the first origin over a range of targets ``[start, stop)``; the rules are those of `Windows`."""
    if min_context is not None:
        return max(start, min_context)
    if start > 0:
        return start
    if context_length + prediction_length <= stop:
        return context_length
    return max(1, min(prediction_length, context_length, stop - prediction_length))


def batches(source: BatchSource, batch_size: int, device: torch.device | str = "cpu") -> Iterator[Batch]:
    """Yield all rows of a data set in order, in whole batches; the last one may be smaller.

    Raises:
        InputError: a batch size below 1.
    """
    _require_positive(batch_size=batch_size)
    size = len(source)
    for start in range(0, size, batch_size):
        batch = source.__getitems__(list(range(start, min(start + batch_size, size))))
        yield {name: tensor.to(device) for name, tensor in batch.items()}


def context_batch(values: Iterable[np.ndarray], context_length: int, batch_size: int = 1024) -> Iterator[Batch]:
    """Yield the last T steps of every channel of every series, in batches: what a forecast starts from.

    Args:
        values: one array [C, L] a series, NaN where missing.
        context_length: T; shorter series are padded on the left (value 0, mask 0).
        batch_size: most rows in a batch.

    Yields:
        ``past_values`` and ``input_mask`` [rows, 1, T], rows by series, then by channel.
    """
    _require_positive(context_length=context_length, batch_size=batch_size)
    buffer = np.full((batch_size, context_length), np.nan, dtype=np.float32)
    filled = 0
    for array in values:
        kept = min(_series_length(array), context_length)
        for channel in array:
            buffer[filled, context_length - kept :] = channel[len(channel) - kept :]
            filled += 1
            if filled == batch_size:
                yield _context(buffer)
                buffer.fill(np.nan)
                filled = 0
    if filled:
        yield _context(buffer[:filled])


def _context(window: np.ndarray) -> Batch:
    past, mask = _masked(window)
    return {"past_values": past, "input_mask": mask}


def _masked(window: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return values with 0 for NaN, and the mask of what was observed, both [B, 1, length]."""
    values = torch.from_numpy(window[:, None])
    return torch.nan_to_num(values, nan=0.0), (~torch.isnan(values)).to(torch.float32)


def _require_positive(**lengths: int) -> None:
    for name, length in lengths.items():
        if length < 1:
            flag = "--train-stride" if name == "stride" else None
            raise InputError(f"Expected {argument(name, flag=flag)} of at least 1, found {length}.")


def _series_length(array: np.ndarray) -> int:
    if array.ndim != 2:
        raise InputError(f"Expected series of shape [channels, steps], found shape {list(array.shape)}.")
    return int(array.shape[1])


def _checked_contexts(
    min_context: int | Sequence[int] | None, series: int, context_length: int
) -> Sequence[int | None]:
    """Return the least number of context steps of each series."""
    if min_context is None:
        return [None] * series
    least = [min_context] * series if isinstance(min_context, int) else list(min_context)
    if len(least) != series:
        raise InputError(f"Expected a min_context for each of {series} series, found {len(least)}.")
    for steps in least:
        if not 1 <= steps <= context_length:
            raise InputError(f"Expected min_context between 1 and {context_length} (T), found {steps}.")
    return least


def _checked_ranges(ranges: Sequence[tuple[int, int]], lengths: Sequence[int]) -> list[tuple[int, int]]:
    if len(ranges) != len(lengths):
        raise InputError(f"Expected a range for each of {len(lengths)} series, found {len(ranges)}.")
    for index, ((start, stop), length) in enumerate(zip(ranges, lengths, strict=True)):
        if not 0 <= start <= stop <= length:
            raise InputError(f"Expected a range within 0 and {length} for series {index}, found {start} to {stop}.")
    return [(int(start), int(stop)) for start, stop in ranges]
