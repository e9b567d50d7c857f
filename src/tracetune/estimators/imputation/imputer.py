"""Imputer: load, fit, impute, evaluate, save."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.panel_season import panel_season
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import keyword_options, panel_from_frame
from tracetune.data.reading.sources import FrameOfKind, FrameSource, ReadingKeywords, Table
from tracetune.estimators.backbone_estimator import BackboneEstimator, load_on_backbone
from tracetune.estimators.imputation.card import imputer_card
from tracetune.estimators.imputation.evaluation import fill_errors, hidden_steps, hiding
from tracetune.estimators.imputation.filled_frame import SourceTable, filled_frame, read_source
from tracetune.estimators.imputation.filled_series import FilledSeries
from tracetune.estimators.imputation.fit import fit_imputer
from tracetune.estimators.imputation.gap_filler import GapFiller, TableFills
from tracetune.estimators.imputation.gap_intervals import GapIntervals
from tracetune.estimators.imputation.observed import within_bounds
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.estimators.imputation.scored import scored_imputer
from tracetune.estimators.intervals import QuantileLevels, checked_levels
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.fitting.config import FitConfig, with_method
from tracetune.fitting.methods.method import Method
from tracetune.fitting.trained import History
from tracetune.tasks.imputation.hidden_steps import POINTS
from tracetune.tasks.imputation.model import Imputation, require_rebuilds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)


class Imputer(BackboneEstimator[Backbone, ImputerRecord]):
    """A model that fills gaps in series.

    ``fit`` returns a new object and leaves this one as it is. Before a fit a gap is filled with what the foundation
    model rebuilds, zero-shot, weighed against simple fills by hidden steps of the same channel. Frames are long
    (item_id, timestamp, target) or wide (date and a column per channel); see docs/data.md.

    >>> import numpy as np, pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=60, freq="D")
    >>> visits = pd.DataFrame({"day": days, "visits": np.tile([5.0, 6.0, 7.0, 8.0, 9.0, 2.0, 1.0], 9)[:60]})
    >>> visits.loc[30:32, "visits"] = np.nan
    >>> imputer = Imputer.from_pretrained("tracetune/tiny", device="cpu")
    >>> filled = imputer.impute(visits)
    >>> int(filled["filled"].sum()), bool(filled["visits"].isna().any())
    (3, False)
    """

    noun = "imputer"
    unfitted = "a foundation model as loaded"
    task_name = Imputation.name
    record_class = ImputerRecord
    _card = staticmethod(imputer_card)

    def __init__(
        self,
        backbone: Backbone,
        base_name: str,
        context_length: int,
        *,
        model: nn.Module | None = None,
        trace: JsonObject | None = None,
        history: Mapping[str, History] | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        require_rebuilds(backbone)
        if context_length < 1:
            raise InputError(f"Expected {argument('context_length')} of at least 1, found {context_length}.")
        super().__init__(backbone, base_name, model=model, trace=trace, history=history, device=device)
        self.context_length = context_length

    @property
    def remembered(self) -> ReadingOptions:
        """Return how the table was read that this imputer was trained on; tables to fill are read alike."""
        return ReadingOptions.from_json({} if self.record is None else self.record.reading)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        context_length: int | None = None,
        *,
        base: str | None = None,
        device: str | torch.device = "auto",
    ) -> "Imputer":
        """Load a foundation model by name, or an imputer that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder written by
                :meth:`save_pretrained`.
            context_length: T; None takes the backbone's. A saved imputer knows its own.
            base: for a saved imputer, where its backbone is now, if not under its recorded name.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, one that cannot rebuild hidden patches, or a backbone other than the
                one that was fine-tuned.
        """
        loaded = load_on_backbone(
            name_or_folder,
            Imputation.name,
            ImputerRecord,
            base,
            load_backbone,
            context_length=context_length,
        )
        length = loaded.record.context_length if loaded.record else context_length
        length = loaded.backbone.context_length if length is None else length
        return cls(loaded.backbone, loaded.base_name, length, model=loaded.model, trace=loaded.trace, device=device)

    def fit(
        self,
        train_df: Table,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        season: int | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Unpack[ReadingKeywords],
    ) -> "Imputer":
        """Fine-tune on a table, which may have gaps: observed steps of it are hidden and filled.

        Args:
            train_df: the series, as a frame (pandas, polars, pyarrow), a path, or a panel.
            config: how to fine-tune; the default is TRACE from a head that least squares has solved. In batches a
                window of C channels counts as C.
            method: shortcut for ``config.method``.
            season: steps of one season; None takes the frequency's, or at numbered steps what is found.
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A new imputer: the best on validation of a straight line, the seasonal median, zero-shot, head alone and
            fine-tuned.

        Raises:
            InputError: unusable data or configuration, or this imputer is fine-tuned already.
        """
        self._refuse_second_fit()
        panel = panel_from_frame(train_df, every_channel=True, **columns)
        config, device = with_method(config or FitConfig(), method), str(self.device)
        parts = self.backbone, self.base_name, self.context_length
        fitted, trace = fit_imputer(*parts, panel, config, device, season=season, callbacks=callbacks)
        return Imputer(*parts, model=fitted.model, trace=trace, history=fitted.record.history, device=device)

    def fills(self, df: FrameSource | SourceTable, **columns: Unpack[ReadingKeywords]) -> TableFills:
        """Return a table to give to both :meth:`impute` and :meth:`plot`, so that no gap is filled twice.

        Args:
            df: the series, as for :meth:`fit`.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.
        """
        source = df if isinstance(df, SourceTable) else self._source(df, **columns)
        return TableFills(source, self._filler())

    def impute(
        self,
        df: FrameSource | SourceTable | TableFills,
        quantile_levels: QuantileLevels = None,
        **columns: Unpack[ReadingKeywords],
    ) -> FrameOfKind:
        """Fill the gaps of a table: missing cells, and times without a row.

        Args:
            df: the series, as for :meth:`fit`, or :meth:`fills` of them.
            quantile_levels: also give these quantiles of what was filled in, e.g. [0.1, 0.9]; without a fit their
                errors are measured on gaps that are hidden in the table itself.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            The table in its own kind and order, gaps filled. ``filled`` says where (``NAME_filled`` with several
            targets), quantiles stand in columns of their own (``0.1``, or ``NAME_0.1``). Times without a row get one.
            Items without any value are left as they are; so are channels without any, unless they were known in
            training. Whole numbers stay whole. A table of another form (one series a row) comes back long.

        Raises:
            InputError: unusable data, or other channels than those of the fit.
        """
        levels = checked_levels(quantile_levels)
        fills = df if isinstance(df, TableFills) else self.fills(df, **columns)
        source, intervals = fills.source, fills.intervals if levels else None
        filled, quantiles = [], []
        for number, series in enumerate(source.panel):
            whole = fills.of_series(number)
            filled.append(whole.filled)
            if intervals is not None:
                offsets = intervals.offsets(series.values, levels)  # [C, L, Q]
                levels_of = whole.filled[..., None] + offsets * whole.units[:, None, None]
                quantiles.append(within_bounds(levels_of, series.values))
        _say_what_is_left(source.panel, filled)
        if intervals is not None:
            _say_what_is_longer(source.panel, intervals)
        return filled_frame(source, filled, quantiles if intervals is not None else None, levels)

    def evaluate(
        self,
        df: Table,
        *,
        pattern: str = POINTS,
        share: float = 0.25,
        season: int | None = None,
        seed: int = 0,
        **columns: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """Hide observed steps, fill them, and measure; beside fills that need no model.

        Args:
            df: the series, as for :meth:`fit`.
            pattern: "points" (single steps), "blocks" (4 to 32 steps of all channels at once), "sub-sequences" (one run
                in each channel and each stretch of T steps) or "channels" (whole ones, a share of them at a time until
                each was hidden once).
            share: of the steps to hide.
            season: of the seasonal median; None takes the frequency's, or at numbered steps what is found.
            seed: fixes what is hidden.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A row each for the model, linear, cubic, last value, seasonal median, and the best of these per series
            (chosen on other hidden steps): mean squared and absolute error over hidden steps, in units of the deviation
            of each series (in training, for items that were there), and how many steps were hidden.

        Raises:
            InputError: unusable data, other channels than those of the fit, or an unknown pattern.
        """
        panel = panel_from_frame(df, remembered=self.remembered, every_channel=True, **columns)
        filler = self._filler()
        scalers = [filler.scaler(panel, series.item_id, series.values) for series in panel]
        steps = panel_season(panel) if season is None else season

        def fill(gappy: np.ndarray, number: int) -> np.ndarray:
            return filler.fill(panel, panel.series[number].item_id, gappy).filled

        values = [series.values for series in panel]  # noqa: PD011 - not a pandas object
        return fill_errors(fill, values, scalers, self.context_length, steps, pattern, share, seed)

    def plot(
        self,
        df: FrameSource | SourceTable | TableFills,
        path: str | Path | None = None,
        **columns: Unpack[ReadingKeywords],
    ) -> "Figure":
        """Draw series with what was filled in, with the 80 % interval; at most six, those with most gaps.

        Args:
            df: the series, as for :meth:`fit`, or :meth:`fills` of them.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            The picture; notebooks show it.
        """
        from tracetune.estimators.imputation.pictured import series_to_draw  # with matplotlib, which pictures need
        from tracetune.report.fill_plots import fill_figure

        fills = df if isinstance(df, TableFills) else self.fills(df, **columns)
        return fill_figure(series_to_draw(fills.source.panel, fills.of_series, fills.intervals), path)

    def plot_hidden(
        self,
        df: Table,
        path: str | Path | None = None,
        *,
        pattern: str = POINTS,
        share: float = 0.25,
        seed: int = 0,
        **columns: Unpack[ReadingKeywords],
    ) -> "Figure":
        """Draw what :meth:`evaluate` hides, beside what is filled in there; at most six series, as in :meth:`plot`.

        Of whole channels those that are hidden first are drawn.

        Args:
            df: the series, as for :meth:`fit`.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            pattern: see :meth:`evaluate`.
            share: of the steps to hide.
            seed: fixes what is hidden.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.
        """
        from tracetune.estimators.imputation.pictured import series_to_draw  # with matplotlib, which pictures need
        from tracetune.report.fill_plots import fill_figure

        panel = panel_from_frame(df, remembered=self.remembered, every_channel=True, **columns)
        whole = [series.values for series in panel]  # noqa: PD011 - not a pandas object
        hidden = [
            next(hidden_steps(values, pattern, share, self.context_length, hiding(seed, number)))
            for number, values in enumerate(whole)
        ]
        series = [
            replace(each, values=np.where(steps, np.nan, each.values))
            for each, steps in zip(panel, hidden, strict=True)
        ]
        shown, filler = replace(panel, series=tuple(series)), self._filler()

        @cache
        def of_series(number: int) -> FilledSeries:
            return filler.fill(shown, shown.series[number].item_id, shown.series[number].values)

        return fill_figure(series_to_draw(shown, of_series, filler.intervals(shown, of_series), whole), path)

    def scored_modules(
        self,
        data: Any,
        labels: None = None,
        config: FitConfig | None = None,
        *,
        season: int | None = None,
        **reading: Any,
    ) -> ScoredModules:
        """Return the modules that `module_importance` scores, and on which part of the data."""
        panel = panel_from_frame(data, remembered=self.remembered, every_channel=True, **reading)
        return scored_imputer(self, self.context_length, panel, config, season)

    def _source(self, df: FrameSource, **columns: Unpack[ReadingKeywords]) -> SourceTable:
        source = read_source(df, keyword_options(columns), self.remembered)
        for warning in source.reading.warnings:
            logger.warning("%s", warning)
        return source

    def _filler(self) -> GapFiller:
        model = self.model
        if model is None:
            model = Imputation(1, self.context_length, 1, (), self.base_name).zero_shot(self.backbone).eval()
        return GapFiller(model, self.context_length, self.device, self.record)


def _say_what_is_longer(panel: Panel, intervals: GapIntervals) -> None:
    """Log that gaps are longer than those that could be hidden to measure errors."""
    longest = max(intervals.longer_than_hidden(series.values) for series in panel)
    if longest:
        logger.warning(
            "A gap of %s steps is longer than any that could be hidden (%s inside a series, %s at an end): its "
            "intervals are not measured, they are made wider as on a random walk, with the root of the distance to "
            "observed steps.",
            *(f"{steps:,}" for steps in (longest, intervals.inside.longest, intervals.ends.longest)),
        )


def _say_what_is_left(panel: Panel, filled: Sequence[np.ndarray]) -> None:
    """Log which channels could not be filled."""
    left = [
        f"{panel.channels[channel]!r} of item {series.item_id!r}" if len(panel) > 1 else repr(panel.channels[channel])
        for series, values in zip(panel, filled, strict=True)
        for channel in np.flatnonzero(np.isnan(values).any(axis=1))
    ]
    if left:
        more = f" and {len(left) - 3:,} more" if len(left) > 3 else ""
        logger.warning("Left as they are, because they have no value at all: %s%s.", ", ".join(left[:3]), more)
