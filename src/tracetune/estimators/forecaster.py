"""Forecaster: load, fit, predict, evaluate, save."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import TrainerCallback

from tracetune.adapters.checkpoint import merged
from tracetune.backbones.backbone import Backbone
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import PanelSplit
from tracetune.estimators.backtest import BacktestModel, backtest, test_part
from tracetune.estimators.card import forecaster_card
from tracetune.estimators.fit_data import split_frames
from tracetune.estimators.forecast_record import inner_model
from tracetune.estimators.forecaster_state import (
    ForecasterState,
    ends_before,
    fit_forecaster,
    foundation_state,
    load_forecaster,
    with_chosen_resolution,
)
from tracetune.estimators.intervals import ResidualQuantiles, checked_levels, quantile_offsets, quantiles_between
from tracetune.estimators.prediction import checked_arrays, forecast_panels, forecast_series
from tracetune.estimators.recalibration import ORIGINS, TRACKED, Recalibration, checked_origins
from tracetune.estimators.saved_model import merged_model, save_model
from tracetune.evaluation.backtest import Evaluation
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import Method
from tracetune.tasks.adjustment import Adjustment
from tracetune.tasks.forecasting import ForecastModel, ForecastOutput
from tracetune.tasks.resolution import AUTO, Resolution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QuantileLevels = Sequence[float] | np.ndarray | float | None


class Forecaster:
    """A forecasting model with the verbs of Chronos and PEFT.

    ``fit`` returns a new object and leaves this one as it is. Frames are long (item_id, timestamp,
    target), wide (date and a column per channel) or M4 style; see docs/data.md.

    >>> import numpy as np
    >>> import pandas as pd
    >>> timestamps = pd.date_range("2024-01-01", periods=200, freq="h")
    >>> frame = pd.DataFrame({"timestamp": timestamps, "target": np.sin(np.arange(200) * np.pi / 12)})
    >>> base = Forecaster.from_pretrained("tracetune/tiny", prediction_length=24, device="cpu")
    >>> tuned = base.fit(frame, method="linear_probe")
    >>> tuned.predict_df(frame, quantile_levels=[0.1, 0.9]).columns.tolist()
    ['timestamp', 'target_name', 'predictions', '0.1', '0.9']
    """

    def __init__(
        self,
        model: nn.Module,
        base_name: str,
        *,
        trace: dict[str, Any] | None = None,
        intervals: ResidualQuantiles | None = None,
        non_negative: bool = False,
        history: dict[str, list[dict[str, Any]]] | None = None,
        chooses_resolution: bool = False,
        device: str = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.model = model.to(self.device).eval()
        self.base_name = base_name
        self.trace = trace
        self.intervals = intervals
        self.non_negative = non_negative
        self.history = history or {}
        self.chooses_resolution = chooses_resolution

    @property
    def forecast_model(self) -> ForecastModel:
        """Return the forecasting model itself, inside PEFT's wrapper where there is one."""
        return inner_model(self.model)

    @property
    def prediction_length(self) -> int:
        """Return the number of steps H of every forecast."""
        return self.forecast_model.prediction_length

    @property
    def has_quantiles(self) -> bool:
        """Return whether there are quantiles, from validation errors after a fit or from the model itself."""
        return self.intervals is not None or self._quantile_levels is not None

    @property
    def _quantile_levels(self) -> tuple[float, ...] | None:
        """Return the model's quantile levels where they are used: intervals from validation errors come first."""
        return None if self.intervals is not None else self.forecast_model.zero_shot_quantile_levels

    @property
    def context_length(self) -> int:
        """Return the number of steps T of history that the model sees."""
        return self.forecast_model.context_length

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Return how many points a step the model reads series at, see `choose_resolution`."""
        return self.forecast_model.resolutions

    @property
    def adjustment(self) -> Adjustment:
        """Return the trend and season that are taken out of series before and put back after."""
        return self.forecast_model.adjustment

    @property
    def remembered(self) -> ReadingOptions:
        """Return how the table was read that this forecaster was trained on; tables to forecast are read alike."""
        return ReadingOptions.from_json((self.trace or {}).get("reading") or {})

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        prediction_length: int | None = None,
        context_length: int | None = None,
        *,
        base: str | Backbone | None = None,
        resolution: Resolution | None = None,
        adjustment: Adjustment | None = None,
        device: str = "auto",
    ) -> "Forecaster":
        """Load a foundation model by name, or a forecaster that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder
                written by `save_pretrained`.
            prediction_length: H; None for a saved forecaster, which has one.
            context_length: T; None takes the backbone's.
            base: for a saved forecaster, where its backbone is now, if not under its recorded name; or the backbone
                itself, of which a copy is taken.
            resolution: points a step at which a foundation model reads series, see docs/forecasting.md: a number,
                several whose forecasts are averaged, or "auto", chosen by `choose_resolution` on the series that
                are fitted or forecast. None for series as they are, and for a saved forecaster, which has its own.
            adjustment: trend and season that are taken out before a foundation model reads series, and put back after.
                None for nothing, except that resolution="auto" then chooses it too.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, another horizon than the saved head has, or a backbone
                other than the one that was fine-tuned.
        """
        state = load_forecaster(name_or_folder, prediction_length, context_length, base, resolution, adjustment)
        return cls(**vars(state), device=device)

    @classmethod
    def from_backbone(
        cls,
        backbone: Backbone,
        prediction_length: int,
        context_length: int | None = None,
        *,
        name: str | None = None,
        resolution: Resolution | None = None,
        adjustment: Adjustment | None = None,
        device: str = "auto",
    ) -> "Forecaster":
        """Return a forecaster on a backbone that is there already, e.g. of `tracetune.wrap_module`.

        Args:
            backbone: moved to the device and put in evaluation mode; a fit leaves its weights as they are.
            prediction_length: H.
            context_length: T; None takes the backbone's.
            name: as the base model is called in records and cards; None takes that of its class.
            resolution: as for `from_pretrained`.
            adjustment: as for `from_pretrained`.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: lengths below 1.
        """
        called = type(backbone).__name__ if name is None else name
        state = foundation_state(backbone, prediction_length, context_length, resolution, adjustment, called)
        return cls(**vars(state), device=device)

    def choose_resolution(
        self, df: Any, *, season: int | None = None, trend: float | None = None, **columns: Any
    ) -> "Forecaster":
        """Return this forecaster at the resolution at which it forecasts the last part of these series best.

        A series of 20 steps is hardly more than one patch. Stretched to k points a step by linear interpolation, it is
        many: k H points are forecast, and every k-th is taken. The best three k are averaged. Where it pays, half of
        the trend or all of it, and the season, are taken out before and put back after; an adjustment that the
        forecaster has already stays.

        Args:
            df: series, as for `fit`; nothing later than their end is used.
            season: steps of a season; None takes the frequency's, 1 none.
            trend: share of the trend that is taken out; None chooses among 0, 1/2 and 1.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Raises:
            InputError: a fine-tuned forecaster, or a backbone that does not forecast by itself.
        """
        if self.trace is not None:
            raise InputError(
                "A fine-tuned forecaster keeps its resolution. Choose it before the fit: "
                f"Forecaster.from_pretrained(..., resolution={AUTO!r}).fit(...)."
            )
        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        state = with_chosen_resolution(
            replace(self._state, chooses_resolution=True), panel, str(self.device), season, trend
        )
        return Forecaster(**vars(state), device=str(self.device))

    def _chosen(self, panel: Panel) -> "Forecaster":
        """Return the forecaster at the resolution for these series; itself where it has one."""
        if not self.chooses_resolution:
            return self
        return Forecaster(**vars(with_chosen_resolution(self._state, panel, str(self.device))), device=str(self.device))

    def fit(
        self,
        train_df: Any,
        validation_df: Any = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        non_negative: bool | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Any,
    ) -> "Forecaster":
        """Fine-tune on a table.

        Args:
            train_df: the series to learn from: a frame (pandas, polars, pyarrow), a path, or a panel.
            validation_df: later steps of the same items, or other items; None holds back the last part of
                every series in ``train_df``.
            config: how to fine-tune; the default is TRACE with a compact head.
            method: shortcut for ``config.method``: ``Trace(...)``, ``Lora(...)``, or a name ("trace", "lora", ...).
            non_negative: whether forecasts are clipped at 0, e.g. of counts and sales; None keeps what this forecaster
                does, and suggests it where no value is below 0.
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A new forecaster: the best of zero-shot, head alone and fine-tuned, on validation.

        Raises:
            InputError: unusable data or configuration.
        """
        config = FitConfig() if config is None else config
        config = config if method is None else replace(config, method=method)  # type: ignore[arg-type]  # names too
        panel, split, least = split_frames(
            train_df, validation_df, self.context_length, self.prediction_length, config.validation, **columns
        )
        return self.fit_panel(panel, split, config, min_context=least, non_negative=non_negative, callbacks=callbacks)

    def fit_panel(
        self,
        panel: Panel,
        split: PanelSplit,
        config: FitConfig | None = None,
        *,
        min_context: int | Sequence[int] | None = None,
        non_negative: bool | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> "Forecaster":
        """Fine-tune on a panel whose training and validation ranges are given; see `fit`.

        ``min_context`` admits training windows with that few real context steps, of every series or of each; None
        wants full contexts.
        """
        fitted = fit_forecaster(
            self._state,
            panel,
            split,
            FitConfig() if config is None else config,
            min_context=min_context,
            non_negative=non_negative,
            device=str(self.device),
            callbacks=callbacks,
        )
        return Forecaster(**vars(fitted), device=str(self.device))

    def predict_df(
        self,
        df: Any,
        quantile_levels: QuantileLevels = None,
        *,
        batch_size: int = 256,
        non_negative: bool | None = None,
        recalibrate: int = ORIGINS,
        **columns: Any,
    ) -> pd.DataFrame:
        """Forecast the H steps after the end of every series in ``df``.

        Args:
            df: history, in any of the layouts that `fit` takes.
            quantile_levels: also give these quantiles, e.g. [0.1, 0.5, 0.9]; needs a fitted forecaster, or a model with
                zero-shot quantiles.
            batch_size: series and channels per forward pass.
            non_negative: whether point forecasts and quantiles are clipped at 0; None does as was fitted.
            recalibrate: with quantiles, also forecast from this many earlier origins of each series, and make its
                intervals wider or narrower by how they held there; 0 leaves them as validation made them.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            Columns item_id, timestamp, target_name, predictions, and one a quantile ("0.1", ...).
        """
        return next(
            self.predict_frames(
                [df],
                quantile_levels,
                batch_size=batch_size,
                non_negative=non_negative,
                recalibrate=recalibrate,
                **columns,
            )
        )

    def predict_frames(
        self,
        frames: Iterable[Any],
        quantile_levels: QuantileLevels = None,
        *,
        batch_size: int = 256,
        non_negative: bool | None = None,
        recalibrate: int = ORIGINS,
        **columns: Any,
    ) -> Iterator[pd.DataFrame]:
        """Forecast frames one after the other; memory does not grow with their number.

        The numbers are those of `predict_df` on all frames together. Series of neighbouring frames share
        batches: the forecast of a frame comes when the batch with its last series is full, or the frames end.

        Args:
            frames: tables as for `predict_df`, each with whole items; an iterator is read as needed.
            quantile_levels: as for `predict_df`.
            batch_size: series and channels per forward pass.
            non_negative: whether point forecasts and quantiles are clipped at 0; None does as was fitted.
            recalibrate: as for `predict_df`.
            columns: as for `predict_df`; they hold for every frame.

        Yields:
            One forecast a frame, as `predict_df` returns it.

        Raises:
            InputError: quantiles that the forecaster does not have; while reading, a frame that cannot be used.
        """
        read = partial(panel_from_frame, remembered=self.remembered, **columns)
        panels = map(read, frames)  # map releases each frame once its panel is made
        how: dict[str, Any] = {"batch_size": batch_size, "non_negative": non_negative, "recalibrate": recalibrate}
        return self.predict_panels(panels, quantile_levels, **how)

    def predict_panels(
        self,
        panels: Iterable[Panel],
        quantile_levels: QuantileLevels = None,
        *,
        batch_size: int = 256,
        non_negative: bool | None = None,
        recalibrate: int = ORIGINS,
    ) -> Iterator[pd.DataFrame]:
        """Forecast panels one after the other; see `predict_frames`."""
        if self.chooses_resolution:
            panels = iter(panels)
            for first in panels:  # the first panel chooses
                how: dict[str, Any] = {"non_negative": non_negative, "recalibrate": recalibrate}
                return self._chosen(first).predict_panels(
                    chain([first], panels), quantile_levels, batch_size=batch_size, **how
                )
        levels = checked_levels(quantile_levels)
        offsets = quantile_offsets(self.intervals, levels, self._quantile_levels)
        lowest = self._lowest(non_negative)
        model = partial(self._output, levels=levels)
        count = checked_origins(recalibrate)
        recalibration = None
        if offsets is not None and self.intervals is not None and count:
            recalibration = Recalibration(self.intervals.at(TRACKED), count)
        return forecast_panels(model, panels, self.context_length, batch_size, levels, offsets, lowest, recalibration)

    def predict_arrays(
        self, values: Iterable[np.ndarray], *, batch_size: int = 256, non_negative: bool | None = None
    ) -> Iterator[np.ndarray]:
        """Forecast series that are arrays; memory does not grow with their number.

        The numbers are those of `predict_df` on the same series. Series share batches, and are read at most
        one batch ahead.

        Args:
            values: one array [C, L] a series, of any length, NaN where missing; an iterator is read as needed.
            batch_size: series and channels per forward pass.
            non_negative: as for `predict_df`.

        Yields:
            One forecast [C, H] a series, in order and in the units of the series.

        Raises:
            InputError: while reading, a series of another shape, with infinite values, or without any value.
        """
        if self.chooses_resolution:
            raise InputError(
                f"Arrays come one by one: resolution={AUTO!r} has no series to choose by. Choose first "
                "(forecaster.choose_resolution(frame)), or give a number."
            )
        lowest = self._lowest(non_negative)
        forecasts = forecast_series(self._output, checked_arrays(values), self.context_length, batch_size, lowest)
        return (forecast.points() for forecast in forecasts)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, the folder is not empty, or the active adapters are not one set.
        """
        if self.trace is None:
            raise InputError(
                f"Nothing to save: {self.base_name!r} is a foundation model as it was loaded. Call fit first."
            )
        trace = self._state.record()
        save_model(folder, self.model, trace, forecaster_card(trace))

    def merge(self) -> "Forecaster":
        """Return a copy whose adapters are folded into the backbone's weights: same forecasts, no extra work.

        It can be saved, and tuned on.
        """
        if not isinstance(self.model, PeftModel):
            return self
        model, trace = (merged(self.model), None) if self.trace is None else merged_model(self.model, self.trace)
        return Forecaster(**vars(replace(self._state, model=model, trace=trace)), device=str(self.device))

    def plot(
        self,
        df: Any,
        path: str | Path | None = None,
        *,
        rows: Sequence[tuple[int, int]] | None = None,
        hold_back: int = 0,
        notes: Mapping[tuple[int, int], str] | None = None,
        title: str = "",
        **columns: Any,
    ) -> "Figure":
        """Draw histories and forecasts, with the 80 % interval where there are quantiles.

        Args:
            df: series to forecast, as a table or as a panel that was read already.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            rows: numbers of items and of their channels, at most six; None takes some, evenly spread.
            hold_back: forecast this many steps before the end of each series, and draw what came beside it.
            notes: words beside the titles of rows.
            title: stands above the picture.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            The picture; notebooks show it.
        """
        from tracetune.report.forecast_panels import forecasts_of  # with matplotlib, which only pictures need
        from tracetune.report.forecast_plots import forecast_figure

        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        levels = (0.1, 0.9) if self.has_quantiles else None
        chosen = self._chosen(panel.cut(None, -hold_back or None))
        drawn = forecasts_of(lambda past: next(chosen.predict_panels([past], levels)), panel, rows, hold_back, notes)
        return forecast_figure(drawn, title, path)

    def evaluate(
        self,
        df: Any,
        *,
        test_length: int | None = None,
        stride: int | None = None,
        season: int | None = None,
        batch_size: int = 256,
        recalibrate: int = ORIGINS,
        **columns: Any,
    ) -> Evaluation:
        """Backtest on the end of every series from several origins, beside the naive forecasts.

        Args:
            df: series that include the steps to be forecast, as a table or as a panel that was read already.
            test_length: all targets lie in this many last steps; None takes five origins, fewer in short series.
            stride: steps between forecast origins; None takes about one horizon H.
            season: period of the seasonal naive forecast; None takes the frequency's.
            batch_size: windows per forward pass.
            recalibrate: by how many earlier origins intervals are made wider or narrower, as in `predict_df`.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            Tables ``overall``, ``items`` and ``coverage``; see `tracetune.evaluation.backtest.Evaluation`.

        Raises:
            InputError: unusable data, or series too short for the test part.
        """
        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        season = seasonality(panel.freq) if season is None else season
        ranges, stride = test_part(panel, self.prediction_length, season, test_length, stride)
        return self.evaluate_panel(
            panel,
            ranges,
            [(0, start) for start, _ in ranges],
            bounded_weights=True,
            stride=stride,
            season=season,
            batch_size=batch_size,
            recalibrate=recalibrate,
        )

    def evaluate_panel(
        self,
        panel: Panel,
        ranges: Sequence[tuple[int, int]],
        scaler_ranges: Sequence[tuple[int, int]],
        *,
        bounded_weights: bool = False,
        stride: int = 1,
        season: int | None = None,
        batch_size: int = 256,
        recalibrate: int = ORIGINS,
    ) -> Evaluation:
        """Return errors over all windows whose targets lie in ``ranges``; see `evaluate`.

        ``bounded_weights`` limits the weight of a series that leaves its former level, see ``Scaler.fit``; numbers in
        the literature are without.
        """
        chosen = self._chosen(ends_before(panel, [start for start, _ in ranges]))
        model = BacktestModel(
            chosen._output,
            chosen.context_length,
            chosen.prediction_length,
            chosen.intervals,
            chosen._lowest(None),
            checked_origins(recalibrate),
        )
        season = seasonality(panel.freq) if season is None else season
        counted = ranges if bounded_weights else None
        return backtest(model, panel, ranges, scaler_ranges, counted, stride, season, batch_size)

    @property
    def _state(self) -> ForecasterState:
        return ForecasterState(
            self.model,
            self.base_name,
            self.trace,
            self.intervals,
            self.non_negative,
            chooses_resolution=self.chooses_resolution,
        )

    def _lowest(self, non_negative: bool | None) -> float:
        """Return the value that forecasts are clipped at."""
        return 0.0 if (self.non_negative if non_negative is None else non_negative) else -np.inf

    def _output(self, batch: Mapping[str, Tensor], levels: Sequence[float] = ()) -> ForecastOutput:
        """Forecast a batch; quantiles of the model's own are those at ``levels``."""
        with torch.inference_mode():
            output = self.model(batch["past_values"].to(self.device), batch["input_mask"].to(self.device))
        if (available := self._quantile_levels) is not None:
            output.quantiles = quantiles_between(output.quantiles, available, levels) if levels else None
        return output
