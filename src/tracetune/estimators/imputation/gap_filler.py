"""Gaps of the series of a panel, or of a table, filled by a model, in the units of the series.

Shapes: C channels, L steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import nn

from tracetune.base.errors import InputError, argument
from tracetune.base.stretches import stretches_of
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel
from tracetune.data.splits import Scaler, require_magnitude
from tracetune.estimators.imputation.filled_frame import SourceTable
from tracetune.estimators.imputation.filled_series import FilledSeries
from tracetune.estimators.imputation.filling import PER_CONTEXT, filled_series
from tracetune.estimators.imputation.gap_errors import gap_errors
from tracetune.estimators.imputation.gap_intervals import GapIntervals, gap_intervals
from tracetune.estimators.imputation.observed import unit_of_errors, within_bounds
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.estimators.imputation.weighed_fill import Mixture, mixed, weighed_fill

_PER_CONTEXT_TRIED = PER_CONTEXT // 2  # windows that only choose weights: half as many do as well


@dataclass(frozen=True, eq=False)
class GapFiller:
    """A model that fills gaps, and what is known of the series that it was fitted on.

    Attributes:
        model: an imputation model, with or without adapters, in evaluation mode.
        context_length: T.
        device: where it is.
        record: of the fit; None for a foundation model.
    """

    model: nn.Module
    context_length: int
    device: torch.device
    record: ImputerRecord | None

    def fill(self, panel: Panel, item: str, values: np.ndarray) -> FilledSeries:
        """Return a series [C, L] of a panel filled; see `within_bounds` for what is clipped.

        Raises:
            InputError: values beyond 1e300, or other channels than those of the fit.
        """
        require_magnitude(values, f"item {item!r}")
        scaler = self.scaler(panel, item, values)
        scaled, mixtures = self._fill_scaled(panel, scaler.transform(values))
        filled = scaler.inverse_transform(scaled)
        filled = np.where(np.isnan(values), filled, values)
        if self.record is None or item not in self.record.scales:
            filled[np.isnan(values).all(axis=1)] = np.nan
        filled = np.where(np.isnan(values), within_bounds(filled, values), values)
        for channel, row in enumerate(values):
            observed = row[~np.isnan(row)]
            if len(observed) and (observed == observed[0]).all():
                filled[channel] = observed[0]  # a constant is continued as it is
        return FilledSeries(filled, self._unit(panel, item, values), mixtures)

    def intervals(self, panel: Panel, of_series: Callable[[int], FilledSeries]) -> GapIntervals:
        """Return the quantiles of the errors of its fills: those of the fit, or such as the panel itself shows.

        Without a fit, gaps up to the longest one of the panel are hidden in its channels that have gaps.

        Args:
            panel: the series to fill.
            of_series: from the number of a series to what fills it.
        """
        if self.record is not None:
            return self.record.gap_intervals()
        rows: list[np.ndarray] = []
        mixtures: list[tuple[Mixture, ...]] = []
        for number, series in enumerate(panel):
            found = of_series(number)
            scaled = Scaler.fit(series.values).transform(series.values)
            for channel in np.flatnonzero(np.isnan(scaled).any(axis=1) & (found.units > 0)).tolist():
                rows.append(scaled[channel])
                mixtures.append(found.mixtures[channel])

        def fill(tried: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
            return mixed(tried[0], self._fill_row(tried[0], wanted), mixtures[number])[None]

        known = [row[None] for row in rows] or [np.zeros((1, 1))]  # the latter has no room for a gap to hide
        return gap_intervals(gap_errors(fill, known, _longest_gap(rows), related=False))

    def scaler(self, panel: Panel, item: str, values: np.ndarray) -> Scaler:
        """Return how to scale a series [C, L]: as in training where the item was there, else by its own values."""
        known = self._known(panel, item)
        return Scaler.fit(values) if known is None else known

    def _known(self, panel: Panel, item: str) -> Scaler | None:
        """Return how an item was scaled in training; None where it was not there."""
        if self.record is None or list(panel.channels) != self.record.channels:
            return None
        return self.record.scaler(item)

    def _unit(self, panel: Panel, item: str, values: np.ndarray) -> np.ndarray:
        """Return the units [C] in which fills of a series [C, L] err."""
        known, per_deviation = self._known(panel, item), [0.0]
        if self.record is not None and len(self.record.changes) in (1, len(values)):
            per_deviation = self.record.changes
        return unit_of_errors(None if known is None else known.scale, values, np.array(per_deviation))

    def _fill_scaled(self, panel: Panel, values: np.ndarray) -> tuple[np.ndarray, tuple[tuple[Mixture, ...], ...]]:
        """Return a scaled series [C, L] filled, and mixtures; channels without a value stay NaN if nothing is known.

        Raises:
            InputError: other channels than those of the fit.
        """
        if not np.isnan(values).any():
            return values, ()
        if self._fills_together(panel):
            return filled_series(self.model, values, self.context_length, True, self.device), ()
        # Channels are filled each by itself.
        if self.record is not None:
            return np.stack([self._fill_row(row) for row in values]), ()
        usual = seasonality(panel.freq)
        rows, mixtures = zip(*(weighed_fill(self._fill_row, row, usual) for row in values), strict=True)
        return np.stack(rows), mixtures

    def _fill_row(self, row: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
        """Return a scaled channel [L] filled by the model; see `RowFill`."""
        count = PER_CONTEXT if wanted is None else _PER_CONTEXT_TRIED
        parts = self.model, row[None], self.context_length, False, self.device
        return filled_series(*parts, wanted=wanted, per_context=count)[0]

    def _fills_together(self, panel: Panel) -> bool:
        """Return whether the model fills all channels of a series together."""
        if self.record is None or len(self.record.channels) == 1 or self.record.head is None:
            return False
        if list(panel.channels) != self.record.channels:
            raise InputError(
                f"Expected the channels of the fit, {', '.join(map(repr, self.record.channels))}, found "
                f"{', '.join(map(repr, panel.channels))}. Name them with {argument('target')}, or fit an imputer on "
                "this table."
            )
        return True


def _longest_gap(rows: Sequence[np.ndarray]) -> int:
    """Return the steps of the longest gap of channels [L]."""
    return max((int(np.diff(stretches_of(np.isnan(row))).max()) for row in rows), default=1)


@dataclass(frozen=True, eq=False)
class TableFills:
    """A table whose series are filled when they are first asked for, each once.

    Attributes:
        source: the table.
        filler: fills its gaps.
    """

    source: SourceTable
    filler: GapFiller
    _known: dict[int, FilledSeries] = field(default_factory=dict)

    def of_series(self, number: int) -> FilledSeries:
        """Return a series of the table filled; see `GapFiller.fill`."""
        if number not in self._known:
            series = self.source.panel.series[number]
            self._known[number] = self.filler.fill(self.source.panel, series.item_id, series.values)
        return self._known[number]

    @cached_property
    def intervals(self) -> GapIntervals:
        """Return the quantiles of the errors of the fills; see `GapFiller.intervals`."""
        return self.filler.intervals(self.source.panel, self.of_series)

    def filled_in(self) -> dict[str, int]:
        """Return how many values of each channel are filled in."""
        panel = self.source.panel
        counts = np.zeros(len(panel.channels), dtype=int)
        for number, series in enumerate(panel):
            counts += (np.isnan(series.values) & ~np.isnan(self.of_series(number).filled)).sum(axis=1)
        return dict(zip(panel.channels, counts.tolist(), strict=True))

    def mixtures(self) -> pd.DataFrame:
        """Return what filled the gaps without a fit: a row for each series, channel and class of gap length.

        Columns are ``series``, ``channel`` and the fields of `Mixture`. After a fit there is no row.
        """
        panel = self.source.panel
        rows = [
            {"series": series.item_id, "channel": name, **asdict(mixture)}
            for number, series in enumerate(panel)
            for name, mixtures in zip(panel.channels, self.of_series(number).mixtures, strict=False)
            for mixture in mixtures
        ]
        return pd.DataFrame(rows, columns=["series", "channel", *(each.name for each in fields(Mixture))])
