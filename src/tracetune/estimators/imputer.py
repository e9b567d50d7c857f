"""Imputer: load, fit, impute, evaluate, save."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument, either
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import Scaler, fit_split, require_magnitude
from tracetune.estimators.filled_frame import SourceTable, filled_frame, read_source
from tracetune.estimators.filling import filled_series
from tracetune.estimators.gap_intervals import gap_quantiles
from tracetune.estimators.imputation_card import imputer_card
from tracetune.estimators.imputation_evaluation import fill_errors
from tracetune.estimators.imputer_record import ImputerRecord, item_scales
from tracetune.estimators.intervals import checked_levels
from tracetune.estimators.saved_model import base_of, is_saved_model, load_model, read_saved_model, save_model
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods.method import Method
from tracetune.fitting.run import Run
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.tasks.gaps import gap_classes
from tracetune.tasks.imputation import Imputation, ImputationModel, require_rebuilds
from tracetune.tasks.imputation_data import POINTS, fit_scalers, imputation_data, related_channels, scaled_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_TRAIN_WINDOWS, _VALIDATION_WINDOWS = 2048, 512  # of one channel; fewer windows of more channels
_FEWEST_WINDOWS = 64
_MOST_TOKENS = 16_384  # in a step of training, where nothing was said


class Imputer:
    """A model that fills gaps in series.

    ``fit`` returns a new object and leaves this one as it is. Before a fit a gap is filled with what the foundation
    model rebuilds, zero-shot. Frames are long (item_id, timestamp, target) or wide (date and a column per channel); see
    docs/data.md.

    >>> import numpy as np, pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=60, freq="D")
    >>> visits = pd.DataFrame({"day": days, "visits": np.tile([5.0, 6.0, 7.0, 8.0, 9.0, 2.0, 1.0], 9)[:60]})
    >>> visits.loc[30:32, "visits"] = np.nan
    >>> imputer = Imputer.from_pretrained("tracetune/tiny", device="cpu")
    >>> filled = imputer.impute(visits)
    >>> int(filled["filled"].sum()), bool(filled["visits"].isna().any())
    (3, False)
    """

    def __init__(
        self,
        backbone: Backbone,
        base_name: str,
        context_length: int,
        *,
        model: nn.Module | None = None,
        trace: dict[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        require_rebuilds(backbone)
        self.device = resolve_device(device)
        self.backbone = backbone.to(self.device).eval()
        self.base_name = base_name
        self.context_length = context_length
        self.model = None if model is None else model.to(self.device).eval()
        self.trace = trace
        self.history: dict[str, list[dict[str, Any]]] = {}

    @property
    def remembered(self) -> ReadingOptions:
        """Return how the table was read that this imputer was trained on; tables to fill are read alike."""
        return ReadingOptions.from_json((self.trace or {}).get("reading") or {})

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        context_length: int | None = None,
        *,
        base: str | None = None,
        device: str = "auto",
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
        if not is_saved_model(name_or_folder):
            backbone = load_backbone(name_or_folder)
            return cls(backbone, str(name_or_folder), context_length or backbone.context_length, device=device)
        saved = read_saved_model(name_or_folder, Imputation.name, ImputerRecord.from_json)
        content, name = saved.content, saved.base_model.name
        if context_length not in (None, content.context_length):
            raise InputError(
                f"{saved.folder} was fine-tuned for {argument('context_length', content.context_length)}. Leave it out."
            )
        model = load_model(saved, lambda found: _built(content, name, found), base)
        inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        return cls(inner.backbone, name, content.context_length, model=model, trace=saved.record, device=device)

    def fit(
        self,
        train_df: Any,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        season: int | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Any,
    ) -> "Imputer":
        """Fine-tune on a table, which may have gaps: observed steps of it are hidden and filled.

        Args:
            train_df: the series, as a frame (pandas, polars, pyarrow), a path, or a panel.
            config: how to fine-tune; the default is TRACE from a head that least squares has solved. In batches a
                window of C channels counts as C.
            method: shortcut for ``config.method``.
            season: steps of one season; None takes the frequency's.
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A new imputer: the best on validation of a straight line, the seasonal median, zero-shot, head alone and
            fine-tuned.

        Raises:
            InputError: unusable data or configuration, or this imputer is fine-tuned already.
        """
        if self.model is not None:
            raise InputError(
                f"This imputer is fine-tuned already. Start from its base: Imputer.from_pretrained({self.base_name!r})."
            )
        panel = panel_from_frame(train_df, **columns)
        config = FitConfig() if config is None else config
        config = config if method is None else replace(config, method=method)  # type: ignore[arg-type]  # names too
        split = fit_split(panel, _held_out(panel, self.context_length), config.validation)
        scalers = fit_scalers(panel, split)
        channels = len(panel.channels)
        config = _counted_by_channels(config, channels)
        head = config.head or ImputationHeadConfig()
        related = related_channels(scaled_values(panel, scalers), split.train, head.related)
        config = replace(config, head=ImputationHeadConfig(len(related[0]) if related else 0))
        wanted = _VALIDATION_WINDOWS if config.validation_windows is None else config.validation_windows
        data = imputation_data(
            panel,
            split,
            self.context_length,
            scalers=scalers,
            train_windows=max(_FEWEST_WINDOWS, _TRAIN_WINDOWS // channels),
            validation_windows=max(_FEWEST_WINDOWS, min(wanted, _VALIDATION_WINDOWS) // channels),
            rolling=config.validation == "rolling",
            seed=config.training.seed,
        )
        steps = seasonality(panel.freq) if season is None else season
        task = Imputation(channels, self.context_length, steps, related, self.base_name)
        with Run.at(config.checkpoints, str(self.device), callbacks, restart=config.restart) as run:
            fitted = fit(task, self.backbone, data, config, run)
        trace = {
            **fitted.record.to_json(),
            "channels": list(panel.channels),
            "context_length": self.context_length,
            "season": steps,
            "related": [list(row) for row in related],
            "rule": _rule(fitted.model),
            "scales": {item: asdict(scale) for item, scale in item_scales(panel, scalers).items()},
            "intervals": gap_quantiles(fitted.model, data.validation).to_dict(),
            "reading": panel.origin.reading or {},
            "base_model": asdict(base_of(self.base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
            "data": {"items": len(panel), "train_windows": len(data.train), "validation_windows": len(data.validation)},
        }
        tuned = Imputer(
            self.backbone, self.base_name, self.context_length, model=fitted.model, trace=trace, device=str(self.device)
        )
        tuned.history = fitted.record.history
        return tuned

    def impute(self, df: Any, quantile_levels: Any = None, **columns: Any) -> Any:
        """Fill the gaps of a table: missing cells, and times without a row.

        Args:
            df: the series, as for :meth:`fit`.
            quantile_levels: also give these quantiles of what was filled in, e.g. [0.1, 0.9]; needs a fitted imputer.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            The table in its own kind and order, gaps filled. ``filled`` says where (``NAME_filled`` with several
            targets), quantiles stand in columns of their own (``0.1``, or ``NAME_0.1``). Times without a row get one.
            Items without any value are left as they are; so are channels without any, unless they were known in
            training. Whole numbers stay whole. A table of another form (one series a row) comes back long.

        Raises:
            InputError: unusable data, other channels than those of the fit, or quantiles before a fit.
        """
        levels = checked_levels(quantile_levels)
        intervals = self._intervals() if levels else None
        source = df if isinstance(df, SourceTable) else self._source(df, **columns)
        filled, quantiles = [], []
        for series in source.panel:
            scaler, whole = self._fill(source.panel, series.item_id, series.values)
            filled.append(whole)
            if intervals is not None:
                offsets = intervals.at(levels)[_classes(series.values)]  # [C, L, Q]
                quantiles.append(whole[..., None] + offsets * scaler.scale[:, None, None])
        _say_what_is_left(source.panel, filled)
        return filled_frame(source, filled, quantiles if intervals is not None else None, levels)

    def evaluate(
        self,
        df: Any,
        *,
        pattern: str = POINTS,
        share: float = 0.25,
        season: int | None = None,
        seed: int = 0,
        **columns: Any,
    ) -> pd.DataFrame:
        """Hide observed steps, fill them, and measure; beside fills that need no model.

        Args:
            df: the series, as for :meth:`fit`.
            pattern: "points" (single steps), "blocks" (4 to 32 steps of all channels at once), "sub-sequences" (one run
                in each channel and each stretch of T steps) or "channels" (whole ones).
            share: of the steps to hide.
            season: of the seasonal median; None takes the frequency's.
            seed: fixes what is hidden.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A row each for the model, linear, cubic, last value, seasonal median, and the best of these per series
            (chosen on other hidden steps): mean squared and absolute error over hidden steps, in units of the deviation
            of each series (in training, for items that were there), and how many steps were hidden.

        Raises:
            InputError: unusable data, other channels than those of the fit, or an unknown pattern.
        """
        panel = panel_from_frame(df, remembered=self.remembered, **columns)
        scalers = [self._scaler(panel, series.item_id, series.values) for series in panel]
        values = [scaler.transform(series.values) for scaler, series in zip(scalers, panel, strict=True)]
        steps = seasonality(panel.freq) if season is None else season

        def fill(gappy: np.ndarray, number: int) -> np.ndarray:
            return np.nan_to_num(self._filled(panel, gappy))

        return fill_errors(fill, values, self.context_length, steps, pattern, share, seed)

    def plot(self, df: Any, path: str | Path | None = None, **columns: Any) -> "Figure":
        """Draw series with what was filled in, with the 80 % interval after a fit; at most six, those with most gaps.

        Args:
            df: the series, as for :meth:`fit`.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            The picture; notebooks show it.
        """
        from tracetune.report.fill_plots import FilledPanel, fill_figure  # with matplotlib, which only pictures need

        source = df if isinstance(df, SourceTable) else self._source(df, **columns)
        panel = source.panel
        intervals = self._intervals() if self.trace is not None else None
        gaps = [
            (int(np.isnan(row).sum()), s, c) for s, series in enumerate(panel) for c, row in enumerate(series.values)
        ]
        drawn = []
        for _, number, channel in sorted(gaps, key=lambda each: (-each[0], *each[1:]))[:6]:
            series = panel.series[number]
            scaler, whole = self._fill(panel, series.item_id, series.values)
            offsets = np.zeros((len(series), 2))
            if intervals is not None:
                offsets = intervals.at((0.1, 0.9))[_classes(series.values)][channel] * scaler.scale[channel]
            names = [series.item_id] * (len(panel) > 1) + [panel.channels[channel]]
            low, high = (whole[channel][:, None] + offsets).T
            given = series.values[channel]  # noqa: PD011 - not a pandas object
            drawn.append(FilledPanel(" · ".join(names), series.timestamps, given, whole[channel], low, high))
        return fill_figure(drawn, path)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        if self.trace is None or self.model is None:
            raise InputError(f"Nothing to save: {self.base_name!r} is a foundation model as loaded. Call fit first.")
        trace = {**self.trace, "task": Imputation.name}
        save_model(folder, self.model, trace, imputer_card(trace))

    def _source(self, df: Any, **columns: Any) -> SourceTable:
        given = ReadingOptions(**{name: value for name, value in columns.items() if value is not None})
        source = read_source(df, given, self.remembered)
        for warning in source.reading.warnings:
            logger.warning("%s", warning)
        return source

    def _intervals(self) -> Any:
        if self.trace is None:
            raise InputError(
                "Quantiles need a fitted imputer: they come from its validation errors. "
                f"{either('Call fit first', 'Run tracetune finetune --task imputation first')}, or leave them out."
            )
        intervals = ImputerRecord.from_json(self.trace, "the record").quantiles()
        assert intervals is not None, "every fit has them"
        return intervals

    def _fill(self, panel: Panel, item: str, values: np.ndarray) -> tuple[Scaler, np.ndarray]:
        """Return how a series [C, L] was scaled, and the series filled, in its units."""
        require_magnitude(values, f"item {item!r}")
        scaler = self._scaler(panel, item, values)
        filled = scaler.inverse_transform(self._filled(panel, scaler.transform(values)))
        filled = np.where(np.isnan(values), filled, values)
        if item not in (self.trace or {}).get("scales", {}):  # nothing is known of the level of an empty channel
            filled[np.isnan(values).all(axis=1)] = np.nan
        for channel, row in enumerate(values):
            observed = row[~np.isnan(row)]
            if len(observed) and (observed == observed[0]).all():
                filled[channel] = observed[0]  # a constant is continued as it is
        return scaler, filled

    def _scaler(self, panel: Panel, item: str, values: np.ndarray) -> Scaler:
        if self.trace is None:
            return Scaler.fit(values)
        record = ImputerRecord.from_json(self.trace, "the record")
        return record.scaler(item, values) if list(panel.channels) == record.channels else Scaler.fit(values)

    def _filled(self, panel: Panel, values: np.ndarray) -> np.ndarray:
        """Return a scaled series [C, L] filled; channels without a value stay NaN where nothing is known of them."""
        if not np.isnan(values).any():
            return values
        model, related = self._model_for(panel)
        if related:
            return filled_series(model, values, self.context_length, True, self.device)
        # Channels are filled each by itself.
        rows = [filled_series(model, row[None], self.context_length, False, self.device) for row in values]
        return np.concatenate(rows)

    def _model_for(self, panel: Panel) -> tuple[nn.Module, bool]:
        """Return the model, and whether it fills all channels of a series together.

        Raises:
            InputError: it was fitted for other channels.
        """
        if self.model is None or self.trace is None:
            return Imputation(1, self.context_length, 1, (), self.base_name).zero_shot(self.backbone).eval(), False
        names = self.trace["channels"]
        if len(names) == 1 or self.trace["head"] is None:
            return self.model, False
        if list(panel.channels) != names:
            raise InputError(
                f"Expected the channels of the fit, {', '.join(map(repr, names))}, found "
                f"{', '.join(map(repr, panel.channels))}. Name them with target, or fit an imputer on this table."
            )
        return self.model, True


def _built(content: ImputerRecord, name: str, backbone: Any) -> ImputationModel:
    task = content.task(name)
    return task.filling_by(backbone, content.rule) if content.head is None else task.model(backbone, content.head)


def _rule(model: nn.Module) -> str:
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, ImputationModel)
    return inner.rule


def _counted_by_channels(config: FitConfig, channels: int) -> FitConfig:
    """Return the settings with batches in which a window of C channels counts as C, and memory that is bounded."""
    return replace(
        config,
        head_training=replace(config.head_training, batch_size=max(1, config.head_training.batch_size // channels)),
        training=replace(
            config.training,
            batch_size=max(1, config.training.batch_size // channels),
            max_tokens=config.training.max_tokens or _MOST_TOKENS,
        ),
    )


def _held_out(panel: Panel, context_length: int) -> int:
    """Return the least number of steps to keep for validation: a quarter of a context, less of short series."""
    return max(1, min(context_length // 4, max(panel.lengths) // 8))


def _classes(values: np.ndarray) -> np.ndarray:
    """Return the class of gap length of each step of a series [C, L]."""
    return gap_classes(torch.from_numpy(~np.isnan(values)))[0].numpy()


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
