"""Forecaster: load, fit, predict, evaluate, save."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
import torch
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.data.panels import Panel
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.reading.sources import ReadingKeywords, Table
from tracetune.data.splits import DividedPanel
from tracetune.estimators.forecasting import state as forecaster_state
from tracetune.estimators.forecasting.backtest import suggest_season
from tracetune.estimators.forecasting.backtest_part import backtest_part
from tracetune.estimators.forecasting.fit_data import split_frames
from tracetune.estimators.forecasting.forecaster_parts import ForecasterParts
from tracetune.estimators.forecasting.panel_forecaster import PanelForecaster
from tracetune.estimators.forecasting.recalibration import ORIGINS, checked_origins
from tracetune.estimators.forecasting.scored import scored_forecaster
from tracetune.estimators.intervals import QuantileLevels, checked_levels
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.evaluation.backtest import Evaluation
from tracetune.fitting.config import FitConfig, with_method
from tracetune.fitting.methods.method import Method
from tracetune.tasks.forecasting.adjustment import Adjustment
from tracetune.tasks.forecasting.resolution import Resolution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecaster(ForecasterParts):
    """A forecasting model with the verbs of Chronos and PEFT.

    ``fit`` returns a new object and leaves this one as it is. Frames are long (item_id, timestamp, target), wide (date
    and a column per channel) or M4 style, see docs/data.md; ``columns`` are how they are read, fields of
    ``ReadingOptions``: id_column, timestamp_column, target, freq, ...

    >>> import numpy as np, pandas as pd
    >>> timestamps = pd.date_range("2024-01-01", periods=200, freq="h")
    >>> frame = pd.DataFrame({"timestamp": timestamps, "target": np.sin(np.arange(200) * np.pi / 12)})
    >>> base = Forecaster.from_pretrained("tracetune/tiny", prediction_length=24, device="cpu")
    >>> tuned = base.fit(frame, method="linear_probe")
    >>> tuned.predict_df(frame, quantile_levels=[0.1, 0.9]).columns.tolist()
    ['timestamp', 'target_name', 'predictions', '0.1', '0.9']
    """

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
        device: str | torch.device = "auto",
    ) -> "Forecaster":
        """Load a foundation model by name, or a forecaster that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a hub id, a folder with a backbone, or one written by `save_pretrained`.
            prediction_length: H; None for a saved forecaster, which has one.
            context_length: T; None takes the backbone's.
            base: for a saved forecaster, where its backbone is now, if not under its recorded name; or the backbone
                itself, of which a copy is taken.
            resolution: points a step at which a foundation model reads series, see docs/short_series.md: a number,
                several whose forecasts are averaged, or "auto", chosen by `choose_resolution` on the series that
                are fitted or forecast. None for series as they are, and for a saved forecaster, which has its own.
            adjustment: trend and season that are taken out before a foundation model reads series, and put back after.
                None for nothing, except that resolution="auto" then chooses it too.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, another horizon than the saved head has, or a backbone
                other than the one that was fine-tuned.
        """
        state = forecaster_state.load_forecaster(
            name_or_folder, prediction_length, context_length, base, resolution, adjustment
        )
        return cls._of(state, device)

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
        device: str | torch.device = "auto",
    ) -> "Forecaster":
        """Return a forecaster on a backbone that is there already, e.g. of `tracetune.wrap_module`.

        Args:
            backbone: moved to the device and put in evaluation mode; a fit leaves its weights as they are.
            prediction_length: H; all but ``name`` is as for `from_pretrained`.
            name: as the base model is called in records and cards; None takes that of its class.
        """
        state = forecaster_state.foundation_state(
            backbone, prediction_length, context_length, resolution, adjustment, name or type(backbone).__name__
        )
        return cls._of(state, device)

    def choose_resolution(
        self, df: Table, *, season: int | None = None, trend: float | None = None, **columns: Unpack[ReadingKeywords]
    ) -> "Forecaster":
        """Return this forecaster at the resolution at which it forecasts the last part of these series best.

        It is stretched to k points a step, see tasks/forecasting/resolution.py; the best three k are averaged. Where it
        pays, half of the trend or all of it, and the season, are taken out before and put back after; an adjustment
        that the forecaster has already stays.

        Args:
            df: series, as for `fit`; nothing later than their end is used.
            season: steps of a season; None takes the frequency's, or at numbered steps the one that is found; 1 none.
            trend: share of the trend that is taken out; None chooses among 0, 1/2 and 1.

        Raises:
            InputError: a fine-tuned forecaster, or a backbone that does not forecast by itself.
        """
        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        state = forecaster_state.with_best_resolution(self._state, panel, str(self.device), season, trend)
        return self._of(state, self.device)

    def suggest_resolution(self, df: Table, **columns: Unpack[ReadingKeywords]) -> None:
        """Say in the log where this foundation model forecasts series much better without their season, as `fit` does.

        Args:
            df: series, as for `fit`; nothing later than their end is used.
        """
        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        forecaster_state.suggest_resolution(self._state, panel, str(self.device))

    def fit(
        self,
        train_df: Table | DividedPanel,
        validation_df: Table | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        non_negative: bool | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Unpack[ReadingKeywords],
    ) -> "Forecaster":
        """Fine-tune on a table.

        Args:
            train_df: the series to learn from: a frame (pandas, polars, pyarrow), a path, a panel, or one whose parts
                are given.
            validation_df: later steps of the same items, or other items; None holds back the last part of
                every series in ``train_df``.
            config: how to fine-tune; the default is TRACE with a compact head.
            method: shortcut for ``config.method``: ``Trace(...)``, ``Lora(...)``, or a name ("trace", "lora", ...).
            non_negative: whether forecasts are clipped at 0, e.g. of counts and sales; None keeps what this forecaster
                does, and suggests it where no value is below 0.
            callbacks: Trainer callbacks, e.g. a progress bar.

        Returns:
            A new forecaster: the best of zero-shot, head alone and fine-tuned, on validation.

        Raises:
            InputError: unusable data or configuration.
        """
        config = with_method(config or FitConfig(), method)
        lengths = self.context_length, self.prediction_length
        parts = split_frames(train_df, validation_df, *lengths, config.validation, **columns)
        fitted = forecaster_state.fit_forecaster(
            self._state, parts, config, non_negative=non_negative, device=str(self.device), callbacks=callbacks
        )
        return self._of(fitted, self.device)

    def predict_df(
        self,
        df: Table,
        quantile_levels: QuantileLevels = None,
        *,
        batch_size: int = 256,
        non_negative: bool | None = None,
        recalibrate: int = ORIGINS,
        **columns: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """Forecast the H steps after the end of every series in ``df``.

        Args:
            df: history, in any of the layouts that `fit` takes.
            quantile_levels: such as [0.1, 0.5, 0.9], of a fitted forecaster or a model with zero-shot quantiles.
            batch_size: series and channels per forward pass.
            non_negative: whether point forecasts and quantiles are clipped at 0; None does as was fitted.
            recalibrate: with quantiles, also forecast from this many earlier origins of each series, and make its
                intervals wider or narrower by how they held there; 0 leaves them as validation made them.

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
        frames: Iterable[Table],
        quantile_levels: QuantileLevels = None,
        *,
        batch_size: int = 256,
        non_negative: bool | None = None,
        recalibrate: int = ORIGINS,
        **columns: Unpack[ReadingKeywords],
    ) -> Iterator[pd.DataFrame]:
        """Forecast frames, each with whole items, one after the other; memory does not grow with their number.

        The numbers are those of `predict_df` on all frames together. Series of neighbouring frames share
        batches: the forecast of a frame comes when the batch with its last series is full, or the frames end.

        Raises:
            InputError: quantiles that the forecaster does not have; while reading, a frame that cannot be used.
        """
        read = partial(panel_from_frame, remembered=self.remembered, **columns)
        panels: Iterator[Panel] = map(read, frames)  # map releases each frame once its panel is made
        levels, origins = checked_levels(quantile_levels), checked_origins(recalibrate)
        first = next(panels, None) if self.chooses_resolution else None  # the resolution is chosen on it
        chosen = self._for(first, non_negative)
        return chosen.forecasts(panels if first is None else chain([first], panels), levels, batch_size, origins)

    def predict_arrays(
        self, values: Iterable[np.ndarray], *, batch_size: int = 256, non_negative: bool | None = None
    ) -> Iterator[np.ndarray]:
        """Forecast series that are arrays; memory does not grow with their number.

        The numbers are those of `predict_df` on the same series. Series share batches, and are read at most one batch
        ahead: one array [C, L] a series, of any length, NaN where missing.

        Yields:
            One forecast [C, H] a series, in order and in the units of the series.

        Raises:
            InputError: while reading, a series of another shape, with infinite values, or without any value.
        """
        forecaster_state.require_chosen(self._state)
        return self._for(None, non_negative).array_forecasts(values, batch_size)

    def scored_modules(
        self, data: Any, labels: None = None, config: FitConfig | None = None, **reading: Any
    ) -> ScoredModules:
        """Return the modules that `module_importance` scores, and on which part of the data."""
        validation = "rolling" if config is None else config.validation
        parts = split_frames(data, None, self.context_length, self.prediction_length, validation, **reading)
        return scored_forecaster(self, self.forecast_model, parts, config)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, the folder is not empty, or the active adapters are not one set.
        """
        forecaster_state.save_forecaster(self._state, folder)

    def merge(self) -> "Forecaster":
        """Return a copy with adapters folded into the backbone, to save or to tune on: same forecasts, less work."""
        state = forecaster_state.merged_forecaster(self._state)
        return self if state.model is self.model else self._of(state, self.device)

    def plot(
        self,
        df: Table,
        path: str | Path | None = None,
        *,
        rows: Sequence[tuple[int, int]] | None = None,
        hold_back: int = 0,
        notes: Mapping[tuple[int, int], str] | None = None,
        title: str = "",
        **columns: Unpack[ReadingKeywords],
    ) -> "Figure":
        """Draw histories and forecasts, with the 80 % interval where there are quantiles, and return the picture.

        Args:
            df: series to forecast, as a table or as a panel that was read already.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            rows: numbers of items and of their channels, at most six; None takes some, evenly spread.
            hold_back: forecast this many steps before the end of each series, and draw what came beside it.
            notes: words beside the titles of rows; ``title`` stands above the picture.
        """
        from tracetune.report.forecast_panels import forecasts_of  # with matplotlib, which only pictures need
        from tracetune.report.forecast_plots import forecast_figure

        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        levels = (0.1, 0.9) if self.has_quantiles else ()
        chosen = self._for(panel.cut(None, -hold_back or None))
        drawn = forecasts_of(lambda past: next(chosen.forecasts([past], levels)), panel, rows, hold_back, notes)
        return forecast_figure(drawn, title, path)

    def evaluate(
        self,
        df: Table | DividedPanel,
        *,
        test_length: int | None = None,
        stride: int | None = None,
        season: int | None = None,
        batch_size: int = 256,
        recalibrate: int = ORIGINS,
        **columns: Unpack[ReadingKeywords],
    ) -> Evaluation:
        """Backtest on the end of every series from several origins, beside the naive forecasts.

        Args:
            df: series that include the steps to be forecast, as a table or as a panel that was read already. Of a
                panel whose parts are given, the test part is forecast from every origin, in units of the deviation of
                the training part, as in the literature.
            test_length: all targets lie in this many last steps; None takes five origins, fewer in short series.
            stride: steps between forecast origins; None takes about one horizon H.
            season: period of the seasonal naive forecast, which resolution="auto" tries too; None takes the
                frequency's.
            batch_size: windows per forward pass; ``recalibrate`` is as in `predict_df`.

        Returns:
            Tables ``overall``, ``items`` and ``coverage``; see `tracetune.evaluation.backtest.Evaluation`.

        Raises:
            InputError: unusable data, or series too short for the test part.
        """
        read = df if isinstance(df, DividedPanel) else panel_from_frame(df, remembered=self.remembered, **columns)
        part = backtest_part(read, self.prediction_length, test_length, stride, season)
        if season is None:
            suggest_season(part.panel)
        chosen = self._for(part.before(), season=season)
        return chosen.measured(part, batch_size, checked_origins(recalibrate))

    @classmethod
    def _of(cls, state: forecaster_state.ForecasterState, device: str | torch.device) -> "Forecaster":
        return cls(**vars(state), device=str(device))

    @property
    def _state(self) -> forecaster_state.ForecasterState:
        parts = self.model, self.base_name, self.trace, self.intervals, self.non_negative
        return forecaster_state.ForecasterState(*parts, chooses_resolution=self.chooses_resolution)

    def _for(self, panel: Panel | None, non_negative: bool | None = None, season: int | None = None) -> PanelForecaster:
        """Return the model that forecasts such series, at the resolution that suits them, clipped at 0 as fitted."""
        model = self.model
        if panel is not None and self.chooses_resolution:
            chosen = forecaster_state.with_chosen_resolution(self._state, panel, str(self.device), season)
            model = chosen.model.to(self.device).eval()
        clips = self.non_negative if non_negative is None else non_negative
        return PanelForecaster(model, self.intervals, 0.0 if clips else -np.inf, self.device)
