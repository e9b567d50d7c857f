"""The state of a forecaster: how it is loaded, and how a new one is fitted from it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from tracetune.adapters.checkpoint import merged
from tracetune.backbones.backbone import Backbone, ZeroShotForecaster
from tracetune.backbones.loading import MODELS, load_backbone, locate_weights
from tracetune.base.errors import InputError, Remark, argument, either
from tracetune.base.json_types import JsonObject
from tracetune.data.panel_season import panel_season
from tracetune.data.panels import Panel, is_non_negative
from tracetune.data.splits import DividedPanel
from tracetune.estimators.forecasting.card import forecaster_card
from tracetune.estimators.forecasting.epoch_bound import say_bound, with_bounded_epochs
from tracetune.estimators.forecasting.record import ForecastRecord, fit_record, inner_model
from tracetune.estimators.forecasting.resolution_choice import choose_resolution, gain_without_season
from tracetune.estimators.intervals import ResidualQuantiles, residual_quantiles
from tracetune.estimators.saved_model import (
    SavedModel,
    base_of,
    is_saved_model,
    load_model,
    merged_model,
    read_saved_model,
    save_model,
)
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.names import ZERO_SHOT
from tracetune.fitting.trained import History
from tracetune.tasks.forecasting.adjustment import UNADJUSTED, Adjustment
from tracetune.tasks.forecasting.data import ForecastData, forecast_data
from tracetune.tasks.forecasting.model import Forecasting, ForecastModel
from tracetune.tasks.forecasting.resolution import AUTO, Resolution
from tracetune.training.run import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ForecasterState:
    """The state of a forecaster.

    Attributes:
        model: a ForecastModel, or one with adapters.
        base_name: name or folder of the foundation model that it is, or was tuned from.
        trace: its record, as in trace.json; None for a foundation model as it was loaded.
        intervals: where its quantiles lie; None if it has none.
        non_negative: whether its forecasts are clipped at 0.
        history: the Trainer's log of each phase of its fit, if it was just fitted.
        chooses_resolution: whether it has yet to choose its resolution and adjustment, by a backtest on the series that
            it gets.
    """

    model: nn.Module
    base_name: str
    trace: JsonObject | None = None
    intervals: ResidualQuantiles | None = None
    non_negative: bool = False
    history: Mapping[str, History] = field(default_factory=dict)
    chooses_resolution: bool = False

    def record(self) -> JsonObject:
        """Return its record as trace.json has it."""
        assert self.trace is not None, "a foundation model has no record"
        return {
            **self.trace,
            "task": Forecasting.name,
            "intervals": None if self.intervals is None else self.intervals.to_dict(),
            "non_negative": self.non_negative,
        }


def load_forecaster(
    name_or_folder: str | Path,
    prediction_length: int | None,
    context_length: int | None,
    base: str | Backbone | None,
    resolution: Resolution | None = None,
    adjustment: Adjustment | None = None,
) -> ForecasterState:
    """Return a foundation model by name, or a forecaster that was saved; see `Forecaster.from_pretrained`."""
    if is_saved_model(name_or_folder):
        saved = read_saved_model(name_or_folder, Forecasting.name, ForecastRecord.from_json)
        saved.content.require(str(saved.folder), prediction_length=prediction_length, context_length=context_length)
        saved.content.require_resolution(str(saved.folder), resolution)
        saved.content.require_adjustment(str(saved.folder), adjustment)
        return _load_saved(saved, base)
    if base is not None:
        raise InputError(
            f"{str(name_or_folder)!r} is no fine-tuned model, whose backbone {argument('base')} would name. Leave "
            f"{argument('base')} out."
        )
    if str(name_or_folder) not in MODELS:
        locate_weights(name_or_folder)  # a name that does not exist needs no prediction_length
    if prediction_length is None:
        raise InputError(
            f"Expected {argument('prediction_length')}: how many steps to forecast. Only a fine-tuned model knows its "
            f"own; {str(name_or_folder)!r} is a foundation model."
        )
    return foundation_state(
        load_backbone(str(name_or_folder)),
        prediction_length,
        context_length,
        resolution,
        adjustment,
        str(name_or_folder),
    )


def foundation_state(
    backbone: Backbone,
    prediction_length: int,
    context_length: int | None,
    resolution: Resolution | None,
    adjustment: Adjustment | None,
    name: str,
) -> ForecasterState:
    """Return a foundation model as a forecaster."""
    chooses = resolution == AUTO
    given = 1 if resolution is None or resolution == AUTO else resolution
    adjusted = UNADJUSTED if adjustment is None else adjustment
    model = ForecastModel.from_backbone(backbone, prediction_length, None, context_length, name, given, adjusted)
    return ForecasterState(model, name, chooses_resolution=chooses)


def with_chosen_resolution(
    state: ForecasterState, panel: Panel, device: str, season: int | None = None, trend: float | None = None
) -> ForecasterState:
    """Return the forecaster as a backtest on these series chooses it to read them; itself where that is given."""
    if not state.chooses_resolution:
        return state
    model = inner_model(state.model)
    choice = choose_resolution(model, panel, device, panel_season(panel) if season is None else season, trend)
    lengths = model.prediction_length, None, model.context_length
    read = choice.resolutions, choice.adjustment
    chosen = ForecastModel.from_backbone(model.backbone, *lengths, state.base_name, *read)
    return replace(state, model=chosen, chooses_resolution=False)


def suggest_resolution(state: ForecasterState, panel: Panel, device: str) -> None:
    """Say in the log that a foundation model forecasts series better without their season, where that is so."""
    model = inner_model(state.model)
    as_they_are = model.resolutions == (1,) and not model.adjustment.changes and not state.chooses_resolution
    if state.trace is not None or not as_they_are or not isinstance(model.backbone, ZeroShotForecaster):
        return
    season = panel_season(panel)
    if (gain := gain_without_season(model, panel, device, season)) is not None:
        logger.warning(
            Remark(
                f"Without their season of {season} steps the model would forecast these series better: its error in a "
                f"backtest on their past is {gain:.0%} lower. {argument('resolution', AUTO)} takes it out before and "
                "puts it back after."
            )
        )


def with_best_resolution(
    state: ForecasterState, panel: Panel, device: str, season: int | None, trend: float | None
) -> ForecasterState:
    """Return a foundation model at the resolution that suits these series, see `Forecaster.choose_resolution`."""
    if state.trace is not None:
        raise InputError(
            "A fine-tuned forecaster keeps its resolution. Choose it before the fit: "
            f"Forecaster.from_pretrained(..., resolution={AUTO!r}).fit(...)."
        )
    return with_chosen_resolution(replace(state, chooses_resolution=True), panel, device, season, trend)


def require_chosen(state: ForecasterState) -> None:
    """Refuse arrays for a forecaster that has yet to choose how it reads series.

    Raises:
        InputError: says how to choose.
    """
    if state.chooses_resolution:
        raise InputError(
            f"Arrays come one by one: resolution={AUTO!r} has no series to choose by. Choose first "
            "(forecaster.choose_resolution(frame)), or give a number."
        )


def merged_forecaster(state: ForecasterState) -> ForecasterState:
    """Return a forecaster whose adapters are folded into the backbone's weights; itself without adapters."""
    if not isinstance(state.model, PeftModel):
        return state
    if state.trace is None:
        return replace(state, model=merged(state.model))
    model, trace = merged_model(state.model, state.trace)
    return replace(state, model=model, trace=trace)


def save_forecaster(state: ForecasterState, folder: str | Path) -> None:
    """Write a fine-tuned forecaster, see `Forecaster.save_pretrained`."""
    if state.trace is None:
        raise InputError(
            f"Nothing to save: {state.base_name!r} is a foundation model as it was loaded. Call fit first."
        )
    record = state.record()
    save_model(folder, state.model, record, forecaster_card(record))


def ends_before(panel: Panel, stops: Sequence[int]) -> Panel:
    """Return the first steps of each series, of those that have any."""
    cut = (series.cut(None, stop) for series, stop in zip(panel, stops, strict=True) if stop > 0)
    return replace(panel, series=tuple(cut))


def fit_forecaster(
    start: ForecasterState,
    parts: DividedPanel,
    config: FitConfig,
    *,
    non_negative: bool | None,
    device: str,
    callbacks: Sequence[TrainerCallback],
) -> ForecasterState:
    """Fine-tune on a panel whose parts are given; see `Forecaster.fit`. ``start`` stays as it is."""
    _require_unadapted(start)
    panel = parts.panel
    past = ends_before(panel, [part.stop for part in parts.split.train])
    suggest_resolution(start, past, device)
    start = with_chosen_resolution(start, past, device)
    clips = _clips(start, panel, non_negative)
    model = inner_model(start.model)
    data = _windows(parts, model, config)
    asked, config = config, with_bounded_epochs(config, len(data.train))
    say_bound(asked, config, len(data.train))
    tuned_before = start.trace is not None
    tuned = model if tuned_before else None
    quantile_loss = config.start == ZERO_SHOT and model.zero_shot_quantile_levels is not None
    lengths = model.prediction_length, model.context_length
    task = Forecasting(*lengths, start.base_name, tuned, quantile_loss, model.resolutions, model.adjustment)
    with Run.at(config.checkpoints, device, callbacks, restart=config.restart) as run:
        fitted = fit(task, model.backbone, data, config, run)
    base = base_of(start.base_name, fitted.backbone_sha256, fitted.model, tuned_before=tuned_before)
    return ForecasterState(
        fitted.model,
        start.base_name,
        fit_record(panel, data, fitted, base),
        None if _keeps_quantiles(fitted, quantile_loss) else _intervals(fitted, data),
        clips,
        fitted.record.history,
    )


def _windows(parts: DividedPanel, model: ForecastModel, config: FitConfig) -> ForecastData:
    """Return the windows that a model of these lengths trains and validates on, and log how many there are."""
    data = forecast_data(
        parts.panel,
        parts.split,
        model.context_length,
        model.prediction_length,
        config.train_stride,
        parts.min_context,
        config.validation_windows,
        rolling=config.validation == "rolling",
        seed=config.training.seed,
    )
    if data.counts is not None:
        logger.info("%s", data.counts.describe())
    return data


def _intervals(fitted: Fitted, data: ForecastData) -> ResidualQuantiles:
    """Return the quantiles of the errors on validation."""
    return residual_quantiles(fitted.model, data.validation, data.disjoint_windows)


def _keeps_quantiles(fitted: Fitted, quantile_loss: bool) -> bool:
    """Return whether a fitted model still forecasts quantiles: training on squared error leaves them untrained."""
    return inner_model(fitted.model).zero_shot_quantile_levels is not None and (
        quantile_loss or fitted.record.winner == ZERO_SHOT
    )


def _load_saved(saved: SavedModel[ForecastRecord], base: str | Backbone | None) -> ForecasterState:
    record, name = saved.content, saved.base_model.name

    def build(backbone: Backbone) -> ForecastModel:
        lengths = record.prediction_length, record.head, record.context_length
        return ForecastModel.from_backbone(backbone, *lengths, name, record.resolutions, record.adjustment)

    model = load_model(saved, build, base)
    named = base if isinstance(base, str) and base else name
    return ForecasterState(model, named, saved.record, record.quantiles(), record.non_negative)


def _require_unadapted(start: ForecasterState) -> None:
    """Refuse a model with adapters, with the two ways on."""
    if not isinstance(start.model, PeftModel):
        return
    in_python = "in Python: Forecaster.from_pretrained(FOLDER).merge(), saved anew"
    merge = either("forecaster.merge().fit(...)", in_python)
    again = either("Forecaster.from_pretrained(...)", "--model")
    raise InputError(
        f"This forecaster is fine-tuned already. To train on from it, fold its adapters in first ({merge}); to start "
        f"again, take its base ({again} with {start.base_name!r})."
    )


def _clips(start: ForecasterState, panel: Panel, non_negative: bool | None) -> bool:
    """Return whether forecasts are clipped at 0; suggest it in the log where nothing was said and no value is below."""
    if non_negative is not None:
        return non_negative
    if not start.non_negative and is_non_negative(panel):
        switch = argument("non_negative", True)
        logger.warning(Remark(f"No value is below 0; {switch} keeps forecasts at or above 0 too."))
    return start.non_negative
