"""Choose the resolution and the adjustment at which a backbone forecasts series best, by a backtest on their past."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tracetune.backbones.backbone import Backbone, ZeroShotForecaster
from tracetune.base.errors import InputError, argument
from tracetune.data.batch_source import Batch, spread_rows
from tracetune.data.panels import Panel
from tracetune.estimators.forecasting.prediction import forecast_series
from tracetune.tasks.forecasting.adjustment import UNADJUSTED, Adjustment
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.output import ForecastOutput
from tracetune.tasks.forecasting.resolution import AUTO, longest_resolution

logger = logging.getLogger(__name__)

CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16)
_AVERAGED = 3
_TRENDS = (0.0, 0.5, 1.0)  # shares of the trend that are taken out; the first is what is left as it is
_WINDOWS = 200  # of series; more do not change the choice
_ORIGINS = 5  # of one series
_LEAST_PAST = 3  # steps; a straight line needs two
_WORTH_SAYING = 0.1  # share of the error, more than two standard errors of it


@dataclass(frozen=True)
class ResolutionChoice:
    """The resolutions and the adjustment that were chosen, and the errors that decided.

    Attributes:
        resolutions: those whose forecasts are averaged, ascending.
        adjustment: trend and season that are taken out before and put back after.
        errors: of each candidate so adjusted, relative to the mean of all candidates; empty where nothing could be
            measured.
        ratio: error of the forecast that they give together, relative to that of series as they are.
        windows: how many forecasts were compared.
    """

    resolutions: tuple[int, ...]
    adjustment: Adjustment
    errors: dict[int, float]
    ratio: float
    windows: int

    def describe(self) -> str:
        """Return a line for people."""
        chosen = ", ".join(map(str, self.resolutions))
        adjusted = f", without {self.adjustment.describe()}" if self.adjustment.changes else ""
        return (
            f"Resolution {chosen}{' (averaged)' if len(self.resolutions) > 1 else ''}{adjusted}: error "
            f"{self.ratio:.3f} of that at resolution 1{' with all' if adjusted else ''}, in a backtest of "
            f"{self.windows} windows on the past of the series."
        )


def choose_resolution(
    model: ForecastModel,
    panel: Panel,
    device: str | torch.device,
    season: int = 1,
    trend: float | None = None,
    batch_size: int = 64,
) -> ResolutionChoice:
    """Backtest the backbone's forecasts at every resolution on the last horizons of the series, and take the best.

    The error of a window is the mean absolute error over its observed targets, relative to the mean of all
    candidates: every window counts alike, whatever its magnitude. What is taken out before and put back after is
    chosen first, at two of the resolutions: a share of the trend, then the season, each only where the error falls
    by more than one standard error. Then forecasts of the best three resolutions are averaged, if that is better than
    resolution 1 alone: a season that fills the context is longer than what a finer resolution lets the model see.

    Args:
        model: whose backbone, context and horizon count; an adjustment that it has stays.
        panel: nothing later than its end is known.
        device: where to compute.
        season: steps of a season; 1 for none.
        trend: share of the trend that is taken out; None chooses it.
        batch_size: series and channels per forward pass.

    Raises:
        InputError: the backbone does not forecast by itself.
    """
    backbone: Backbone = model.backbone
    horizon = model.prediction_length
    if not isinstance(backbone, ZeroShotForecaster):
        raise InputError(
            f"{argument('resolution', AUTO)} compares forecasts of the foundation model, but this one does not "
            f"forecast by itself. Give {argument('resolution')} as a number."
        )
    windows = backtest_windows([channel for series in panel for channel in series.values], horizon)
    most = longest_resolution(backbone, horizon)
    candidates = [k for k in CANDIDATES if k == 1 or k <= most]
    if not windows:
        logger.warning("Resolution 1: no series is long enough for a backtest on its own past.")
        return ResolutionChoice((1,), model.adjustment, {}, 1.0, 0)
    trials = _Trials(model, windows, device, batch_size)
    longest = max(len(past) for past, _ in windows)
    trends = _TRENDS if trend is None else (trend,)
    adjustment = model.adjustment
    if not adjustment.changes:
        adjustment = _best_adjustment(trials, candidates, trends, season if season <= longest // 3 else 1)
    choice = _best_resolutions(trials, candidates, adjustment)
    logger.warning(choice.describe())  # a choice that decides the result is said on the command line too
    return choice


def gain_without_season(
    model: ForecastModel, panel: Panel, device: str | torch.device, season: int, batch_size: int = 64
) -> float | None:
    """Return the share of the zero-shot error that taking a season out would save, None where it is hardly any.

    Measured by the backtest of `choose_resolution`, at resolution 1: a season that does not look like a wave is lost on
    models that read patches, whatever its length.

    Args:
        model: reads series as they are.
        panel: nothing later than its end is known.
        device: where to compute.
        season: steps of a season.
        batch_size: series and channels per forward pass.
    """
    windows = backtest_windows([channel for series in panel for channel in series.values], model.prediction_length)
    if season < 2 or not windows or max(len(past) for past, _ in windows) < 3 * season:
        return None
    trials = _Trials(model, windows, device, batch_size)
    plain, adjusted = trials.errors((1,), UNADJUSTED), trials.errors((1,), Adjustment(season=season))
    errors = _relative(np.stack([plain, adjusted]), np.stack([plain, adjusted]))
    if not _is_better(errors[1], errors[0], standard_errors=2.0):
        return None
    gain = 1 - float(errors[1].mean() / errors[0].mean())
    return gain if gain > _WORTH_SAYING else None


@dataclass(frozen=True)
class _Trials:
    """Errors of the windows, at any resolution and with any adjustment, each forecast once.

    Attributes:
        model: whose backbone, context and horizon count.
        windows: past [any] and truth [H].
        device: where to compute.
        batch_size: series and channels per forward pass.
        known: errors that were measured.
    """

    model: ForecastModel
    windows: Sequence[tuple[np.ndarray, np.ndarray]]
    device: str | torch.device
    batch_size: int
    known: dict[tuple[tuple[int, ...], Adjustment], np.ndarray] = field(default_factory=dict)

    def errors(self, resolutions: tuple[int, ...], adjustment: Adjustment) -> np.ndarray:
        """Return the mean absolute error of each window, [W]; of several resolutions that of their mean forecast."""
        key = resolutions, adjustment
        if key not in self.known:
            self.known[key] = _errors(self.model, *key, self.windows, self.device, self.batch_size)
        return self.known[key]


def _best_adjustment(trials: _Trials, candidates: Sequence[int], trends: Sequence[float], season: int) -> Adjustment:
    """Return what to take out: first which share of the trend, then whether the season too."""
    few = {candidates[len(candidates) * part // 3] for part in (1, 2)}

    def best(options: Sequence[Adjustment]) -> Adjustment:
        """Return the option with the lowest error, or the first where it is not lower beyond noise."""
        errors = np.stack([np.mean([trials.errors((k,), one) for k in few], axis=0) for one in options])
        relative = _relative(errors, errors)
        lowest = int(relative.mean(axis=1).argmin())
        return options[lowest] if _is_better(relative[lowest], relative[0]) else options[0]

    without_season = best([Adjustment(trend) for trend in trends])
    return without_season if season == 1 else best([without_season, replace(without_season, season=season)])


def _best_resolutions(trials: _Trials, candidates: Sequence[int], adjustment: Adjustment) -> ResolutionChoice:
    """Return the best three resolutions of series that are so adjusted, or 1 where their average is not better."""
    measured = np.stack([trials.errors((k,), adjustment) for k in candidates])
    errors = dict(zip(candidates, _relative(measured, measured).mean(axis=1).tolist(), strict=True))
    best = tuple(sorted(sorted(candidates, key=lambda k: errors[k])[:_AVERAGED]))
    averaged = float(_relative(trials.errors(best, adjustment)[None], measured).mean())
    chosen, error = (best, averaged) if averaged < errors[1] else ((1,), errors[1])
    plain = float(_relative(trials.errors((1,), UNADJUSTED)[None], measured).mean())
    return ResolutionChoice(chosen, adjustment, errors, error / plain if plain > 0 else 1.0, measured.shape[1])


def _relative(errors: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return errors [K, W] relative to the mean of those of each window among some [M, W]; 1 where that is 0."""
    level = among.mean(axis=0)
    return np.where(level > 0, errors / np.where(level > 0, level, 1.0), 1.0)


def _is_better(errors: np.ndarray, simpler: np.ndarray, standard_errors: float = 1.0) -> bool:
    """Return whether errors [W] are lower than those of something simpler by more than so many standard errors."""
    gain = simpler - errors
    return len(gain) > 1 and bool(gain.mean() > standard_errors * gain.std(ddof=1) / np.sqrt(len(gain)))


def backtest_windows(values: Sequence[np.ndarray], horizon: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return past [any] and truth [H] of some windows, spread over the series [L]; shortest past first.

    The last horizon of each series, and of a few series some horizons before; only where there is a value in the past
    and one in the truth. Pasts of less than half the length are left out but for the last: what suits a series of two
    seasons does not suit it once it has five.
    """
    each = max(1, min(_ORIGINS, _WINDOWS // max(len(values), 1)))
    places = [
        (item, origin)
        for item, one in enumerate(values)
        for origin in range(len(one) - horizon, max(_LEAST_PAST, len(one) - each * horizon) - 1, -horizon)
        if origin == len(one) - horizon or 2 * origin >= len(one)
    ]
    cut = [(values[item][:origin], values[item][origin : origin + horizon]) for item, origin in places]
    whole = [pair for pair in cut if not any(np.isnan(part).all() for part in pair)]
    chosen = [whole[row] for row in spread_rows(len(whole), _WINDOWS, seed=0)]
    return sorted(chosen, key=lambda pair: len(pair[0]))


def _errors(
    model: ForecastModel,
    resolutions: tuple[int, ...],
    adjustment: Adjustment,
    windows: Sequence[tuple[np.ndarray, np.ndarray]],
    device: str | torch.device,
    batch_size: int,
) -> np.ndarray:
    """Return the mean absolute error of each window, [W]; forecasts at several resolutions are averaged."""
    lengths = model.prediction_length, None, model.context_length
    reader = ForecastModel.from_backbone(model.backbone, *lengths, resolution=resolutions, adjustment=adjustment).eval()

    def forecast(batch: Batch) -> ForecastOutput:
        with torch.inference_mode():
            output: ForecastOutput = reader(batch["past_values"].to(device), batch["input_mask"].to(device))
        return output

    forecasts = forecast_series(forecast, (past[None] for past, _ in windows), model.context_length, batch_size)
    return np.array(
        [np.nanmean(np.abs(one.points()[0] - truth)) for one, (_, truth) in zip(forecasts, windows, strict=True)]
    )
