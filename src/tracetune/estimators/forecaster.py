"""Forecaster: load, fit, predict, evaluate, save."""

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import TrainerCallback

from tracetune.adapters.checkpoint import is_saved_model, load_weights, new_adapter_folder, read_trace
from tracetune.backbones.loading import weights_digest
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError
from tracetune.data.frames import Panel, panel_from_frame
from tracetune.data.seasonality import seasonality
from tracetune.data.splits import PanelSplit
from tracetune.data.windows import Windows, batches
from tracetune.estimators.fit_data import split_frames
from tracetune.estimators.intervals import ResidualQuantiles, residual_quantiles
from tracetune.estimators.prediction import checked_arrays, forecast_panels, forecast_series
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods import Method
from tracetune.fitting.record import FitRecord
from tracetune.fitting.run import Run
from tracetune.heads.head import HeadConfig
from tracetune.report.card import forecaster_card
from tracetune.tasks.forecast_data import ForecastData, forecast_data, require_observed, scale_panel
from tracetune.tasks.forecast_evaluation import compare_forecasters, naive_forecasters
from tracetune.tasks.forecasting import Forecasting, ForecastModel, ForecastOutput

logger = logging.getLogger(__name__)


class Forecaster:
    """A forecasting model with the verbs of Chronos and PEFT.

    ``fit`` returns a new object and leaves this one as it is. Frames are long (item_id, timestamp,
    target), wide (date and a column per channel) or M4 style; see docs/data.md.
    """

    def __init__(
        self,
        model: nn.Module,
        base_name: str,
        *,
        trace: dict[str, Any] | None = None,
        intervals: ResidualQuantiles | None = None,
        device: str = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.model = model.to(self.device).eval()
        self.base_name = base_name
        self.trace = trace
        self.intervals = intervals
        self.history: dict[str, list[dict[str, Any]]] = {}

    @property
    def forecast_model(self) -> ForecastModel:
        """The forecasting model itself, inside PEFT's wrapper where there is one."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model  # type: ignore[return-value]

    @property
    def prediction_length(self) -> int:
        """Steps H of every forecast."""
        return self.forecast_model.prediction_length

    @property
    def context_length(self) -> int:
        """Steps T of history that the model sees."""
        return self.forecast_model.context_length

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        prediction_length: int | None = None,
        context_length: int | None = None,
        *,
        base: str | None = None,
        device: str = "auto",
    ) -> "Forecaster":
        """Load a foundation model by name, or a forecaster that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder
                written by :meth:`save_pretrained`.
            prediction_length: H; a saved forecaster knows its own.
            context_length: T; None takes the backbone's.
            base: for a saved forecaster, where its backbone is now, if not under its recorded name.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, another horizon than the saved head has, or a backbone
                other than the one that was fine-tuned.
        """
        if is_saved_model(name_or_folder):
            return cls._from_saved(Path(name_or_folder), prediction_length, context_length, base, device)
        if prediction_length is None:
            raise InputError("Expected prediction_length: how many steps to forecast. Give it with the model's name.")
        model = ForecastModel.from_pretrained(str(name_or_folder), prediction_length, None, context_length)
        return cls(model, str(name_or_folder), device=device)

    def fit(
        self,
        train_df: pd.DataFrame,
        validation_df: pd.DataFrame | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Any,
    ) -> "Forecaster":
        """Fine-tune on a frame.

        Args:
            train_df: the series to learn from.
            validation_df: later steps of the same items, or other items; None holds back the last part of
                every series in ``train_df``.
            config: how to fine-tune; the default is TRACE with a compact head.
            method: shortcut for ``config.method``: ``Trace(...)``, ``Lora(...)``, or a name ("trace", "lora", ...).
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: id_column, timestamp_column, target, freq, sort, as in ``panel_from_frame``.

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
        return self.fit_panel(panel, split, config, min_context=least, callbacks=callbacks)

    def fit_panel(
        self,
        panel: Panel,
        split: PanelSplit,
        config: FitConfig | None = None,
        *,
        min_context: int | Sequence[int] | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> "Forecaster":
        """Fine-tune on a panel whose training and validation ranges are given; see :meth:`fit`.

        ``min_context`` admits training windows with that few real context steps, of every series or of each; None
        wants full contexts.
        """
        config = FitConfig() if config is None else config
        if isinstance(self.model, PeftModel):
            raise InputError(
                "This forecaster is fine-tuned already. Start from its base: " + repr(self.base_name) + "."
            )
        data = forecast_data(
            panel,
            split,
            self.context_length,
            self.prediction_length,
            config.train_stride,
            min_context,
            config.validation_windows,
            rolling=config.validation == "rolling",
            seed=config.training.seed,
        )
        if data.counts is not None:
            logger.info("%s", data.counts.describe())
        task = Forecasting(self.prediction_length, self.context_length, self.base_name)
        with Run.at(config.checkpoints, str(self.device), callbacks, restart=config.restart) as run:
            fitted = fit(task, self.forecast_model.backbone, data, config, run)
        intervals = residual_quantiles(fitted.model, data.validation)
        trace = self._trace(panel, data, fitted.record)
        tuned = Forecaster(fitted.model, self.base_name, trace=trace, intervals=intervals, device=str(self.device))
        tuned.history = fitted.record.history
        return tuned

    def predict_df(
        self,
        df: pd.DataFrame,
        quantile_levels: Sequence[float] | None = None,
        *,
        batch_size: int = 256,
        **columns: Any,
    ) -> pd.DataFrame:
        """Forecast the H steps after the end of every series in ``df``.

        Args:
            df: history, in any of the layouts that :meth:`fit` takes.
            quantile_levels: also give these quantiles, e.g. [0.1, 0.5, 0.9]; needs a fitted forecaster.
            batch_size: series and channels per forward pass.
            columns: id_column, timestamp_column, target, freq, sort, as in ``panel_from_frame``.

        Returns:
            Columns item_id, timestamp, target_name, predictions, and one a quantile ("0.1", ...).
        """
        return next(self.predict_frames([df], quantile_levels, batch_size=batch_size, **columns))

    def predict_frames(
        self,
        frames: Iterable[pd.DataFrame],
        quantile_levels: Sequence[float] | None = None,
        *,
        batch_size: int = 256,
        **columns: Any,
    ) -> Iterator[pd.DataFrame]:
        """Forecast frames one after the other; memory does not grow with their number.

        The numbers are those of :meth:`predict_df` on all frames together. Series of neighbouring frames share
        batches: the forecast of a frame comes when the batch with its last series is full, or the frames end.

        Args:
            frames: tables as for :meth:`predict_df`, each with whole items; an iterator is read as needed.
            quantile_levels: as for :meth:`predict_df`.
            batch_size: series and channels per forward pass.
            columns: as for :meth:`predict_df`; they hold for every frame.

        Yields:
            One forecast a frame, as :meth:`predict_df` returns it.

        Raises:
            InputError: quantiles that the forecaster does not have; while reading, a frame that cannot be used.
        """
        panels = map(partial(panel_from_frame, **columns), frames)  # map keeps no frame once its panel is there
        return self.predict_panels(panels, quantile_levels, batch_size=batch_size)

    def predict_panels(
        self, panels: Iterable[Panel], quantile_levels: Sequence[float] | None = None, *, batch_size: int = 256
    ) -> Iterator[pd.DataFrame]:
        """Forecast panels one after the other; see :meth:`predict_frames`."""
        offsets = self._quantile_offsets(quantile_levels)
        return forecast_panels(self._output, panels, self.context_length, batch_size, quantile_levels or (), offsets)

    def predict_arrays(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> Iterator[np.ndarray]:
        """Forecast series that are arrays; memory does not grow with their number.

        The numbers are those of :meth:`predict_df` on the same series. Series share batches, and are read at most
        one batch ahead.

        Args:
            values: one array [C, L] a series, of any length, NaN where missing; an iterator is read as needed.
            batch_size: series and channels per forward pass.

        Yields:
            One forecast [C, H] a series, in order and in the units of the series.

        Raises:
            InputError: while reading, a series of another shape, with infinite values, or without any value.
        """
        forecasts = forecast_series(self._output, checked_arrays(values), self.context_length, batch_size)
        return (forecast.points() for forecast in forecasts)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: PEFT's files, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        if self.trace is None:
            raise InputError("Nothing to save: this is a base model as loaded. Call fit first.")
        trace = dict(self.trace, intervals=None if self.intervals is None else self.intervals.to_dict())
        with new_adapter_folder(folder, self.model, self.base_name, trace, forecaster_card(trace)):
            pass

    def merge(self) -> "Forecaster":
        """A copy whose adapters are folded into the backbone's weights: same forecasts, no extra work."""
        if not isinstance(self.model, PeftModel):
            return self
        merged = copy.deepcopy(self.model).merge_and_unload()
        return Forecaster(merged, self.base_name, intervals=self.intervals, device=str(self.device))

    def evaluate(
        self,
        df: pd.DataFrame,
        *,
        test_length: int | None = None,
        stride: int = 1,
        season: int | None = None,
        batch_size: int = 256,
        **columns: Any,
    ) -> pd.DataFrame:
        """Backtest on the end of every series, beside the naive forecasts.

        Args:
            df: series that include the steps to be forecast.
            test_length: all targets lie in this many last steps; None takes one horizon H.
            stride: steps between forecast origins.
            season: period of the seasonal naive forecast; None takes the frequency's.
            batch_size: windows per forward pass.
            columns: id_column, timestamp_column, target, freq, sort, as in ``panel_from_frame``.

        Returns:
            One row a forecaster: mse and mae in units of each series' deviation before the test part, or of half its
            distance from the mean there within the test part, if that is larger.

        Raises:
            InputError: unusable data, or series too short for the test part.
        """
        panel = panel_from_frame(df, **columns)
        test_length = self.prediction_length if test_length is None else test_length
        if test_length < self.prediction_length:
            raise InputError(
                f"Expected a test_length of at least the horizon, {self.prediction_length}, found {test_length}."
            )
        if test_length >= max(panel.lengths):
            raise InputError(
                f"Expected a test_length below the longest series, {max(panel.lengths)} steps, found {test_length}: "
                "nothing would be left to forecast from."
            )
        ranges = [(max(length - test_length, 1), length) for length in panel.lengths]
        return self.evaluate_panel(
            panel,
            ranges,
            [(0, start) for start, _ in ranges],
            bounded_weights=True,
            stride=stride,
            season=season,
            batch_size=batch_size,
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
    ) -> pd.DataFrame:
        """Errors over all windows whose targets lie in ``ranges``; see :meth:`evaluate`.

        ``bounded_weights`` keeps a series that leaves its former level from deciding for all, see ``scale_panel``; the
        literature's numbers are without.
        """
        scaled = scale_panel(panel, scaler_ranges, ranges if bounded_weights else None)
        require_observed(scaled.values, ranges, "test")
        windows = Windows(scaled.values, self.context_length, self.prediction_length, ranges, stride=stride)
        season = seasonality(panel.freq) if season is None else season
        forecasters = {"model": self._forecast_batch, **naive_forecasters(self.prediction_length, season)}
        return pd.DataFrame(compare_forecasters(forecasters, batches(windows, batch_size)))

    @classmethod
    def _from_saved(
        cls, folder: Path, prediction_length: int | None, context_length: int | None, base: str | None, device: str
    ) -> "Forecaster":
        trace = read_trace(folder, ("base_model", "head", "prediction_length", "context_length", "intervals"))
        for name, wanted in (("prediction_length", prediction_length), ("context_length", context_length)):
            if wanted is not None and wanted != trace[name]:
                raise InputError(
                    f"{folder} was fine-tuned for {name}={trace[name]}, found {name}={wanted}. "
                    "Leave it out, or fine-tune again."
                )
        name = base or trace["base_model"]["name"]
        head = None if trace["head"] is None else HeadConfig(**trace["head"])
        model = ForecastModel.from_pretrained(name, trace["prediction_length"], head, trace["context_length"])
        if weights_digest(model.backbone) != trace["base_model"]["weights_sha256"]:
            raise InputError(
                f"{folder} was fine-tuned from another backbone than {name!r} is now: the weights differ. "
                "Give the original one with base= (--base)."
            )
        intervals = None if trace["intervals"] is None else ResidualQuantiles.from_dict(trace["intervals"])
        return cls(load_weights(model, folder), name, trace=trace, intervals=intervals, device=device)

    def _forecast_batch(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Forecast [B, C, H] of one batch of windows."""
        forecast: Tensor = self._output(batch)["forecast"]
        return forecast

    def _output(self, batch: Mapping[str, Tensor]) -> ForecastOutput:
        with torch.inference_mode():
            return self.model(batch["past_values"].to(self.device), batch["input_mask"].to(self.device))

    def _quantile_offsets(self, levels: Sequence[float] | None) -> np.ndarray | None:
        if not levels:
            return None
        if self.intervals is None:
            raise InputError(
                "Quantiles need a fitted forecaster: they come from its validation errors. Call fit first."
            )
        return self.intervals.at(levels)

    def _trace(self, panel: Panel, data: ForecastData, record: FitRecord) -> dict[str, Any]:
        """The record that is saved as trace.json."""
        return {
            **record.to_json(),
            "base_model": {"name": self.base_name, "weights_sha256": weights_digest(self.forecast_model.backbone)},
            "prediction_length": self.prediction_length,
            "context_length": self.context_length,
            "data": {
                "items": len(panel),
                "channels": list(panel.channels),
                "freq": panel.freq,
                "train_windows": len(data.train),
                "validation_windows": len(data.validation),
                "counts": None if data.counts is None else asdict(data.counts),
            },
        }
