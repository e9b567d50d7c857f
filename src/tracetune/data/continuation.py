"""A second table that goes on where the first one ends, or brings other items: one panel with both."""

from dataclasses import replace

import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import PanelSplit, Part


def continue_panel(train: Panel, validation: Panel) -> tuple[Panel, PanelSplit]:
    """Join two panels: what is in ``train`` trains, what only ``validation`` has validates.

    An item of both is one series whose later steps validate, with the earlier ones as context; its
    validation rows may repeat training rows. Items of ``validation`` alone validate as a whole.

    Raises:
        InputError: other channels or another frequency, or nothing in ``validation`` is new.
    """
    if (train.channels, train.freq) != (validation.channels, validation.freq):
        raise InputError(
            f"Expected validation data with channels {list(train.channels)} and frequency {train.freq}, "
            f"found {list(validation.channels)} and {validation.freq}."
        )
    later = {series.item_id: series for series in validation}
    joined, parts = [], []
    for series in train:
        whole = _join(series, later.pop(series.item_id, None), train)
        joined.append(whole)
        parts.append((Part(0, len(series)), Part(len(series), len(whole))))
    for series in later.values():
        joined.append(series)
        parts.append((Part(0, 0), Part(0, len(series))))
    if not any(stop > start for _, (start, stop) in parts):
        raise InputError(
            "Every row of the validation data is in the training data too. Give later steps or other items."
        )
    ends = tuple(Part(len(series), len(series)) for series in joined)
    split = PanelSplit(tuple(part for part, _ in parts), tuple(part for _, part in parts), ends)
    return replace(train, series=tuple(joined)), split


def _join(series: Series, later: Series | None, panel: Panel) -> Series:
    """Return ``series`` with the steps of ``later`` after its end; steps between the two are missing values."""
    if later is None:
        return series
    new = later.timestamps > series.timestamps[-1]
    if not new.any():
        return series
    horizon, wanted = 1, later.timestamps[-1]
    while (grid := panel.future_timestamps(series, horizon))[-1] < wanted:
        horizon *= 2
    grid = grid[grid <= wanted]
    places = np.searchsorted(grid, later.timestamps[new])
    if (places >= len(grid)).any() or (grid[places] != later.timestamps[new]).any():
        raise InputError(
            f"The validation rows of item {series.item_id!r} do not continue the time grid of its training rows "
            f"(frequency {panel.freq}, last training step {series.timestamps[-1]})."
        )
    values = np.full((len(series.values), len(grid)), np.nan)
    values[:, places] = later.values[:, new]
    return replace(
        series,
        timestamps=np.concatenate([series.timestamps, grid]),
        values=np.concatenate([series.values, values], axis=1),
    )
