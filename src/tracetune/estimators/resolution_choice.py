"""At which resolution a backbone forecasts a group of series best, by a backtest on their own past."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tracetune.backbones.backbone import Backbone, ZeroShotForecaster
from tracetune.base.errors import InputError, argument
from tracetune.data.batch_source import spread_rows
from tracetune.data.panels import Panel
from tracetune.estimators.prediction import forecast_series
from tracetune.tasks.forecasting import ForecastModel
from tracetune.tasks.resolution import AUTO, longest_resolution

logger = logging.getLogger(__name__)

CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16)
_AVERAGED = 3
_WINDOWS = 200  # of series; more do not change the choice
_ORIGINS = 5  # of one series
_LEAST_PAST = 3  # steps; a straight line needs two


@dataclass(frozen=True)
class ResolutionChoice:
    """Which resolutions were chosen, and why.

    Attributes:
        resolutions: those whose forecasts are averaged, ascending.
        season: steps of the season that is taken out before and put back after; 1 for none.
        errors: of each candidate, relative to the mean of all candidates; empty where nothing could be measured.
        windows: how many forecasts were compared.
    """

    resolutions: tuple[int, ...]
    season: int
    errors: dict[int, float]
    windows: int

    def describe(self) -> str:
        """Return a line for people."""
        chosen = ", ".join(map(str, self.resolutions))
        ratio = float(np.mean([self.errors[k] for k in self.resolutions])) / self.errors[1]
        adjusted = f", without a season of {self.season}" if self.season > 1 else ""
        return (
            f"Resolution {chosen}{' (averaged)' if len(self.resolutions) > 1 else ''}{adjusted}: error {ratio:.3f} of "
            f"that at resolution 1, in a backtest of {self.windows} windows on the past of the series."
        )


def choose_resolution(
    model: ForecastModel, panel: Panel, device: Any, season: int = 1, batch_size: int = 64
) -> ResolutionChoice:
    """Backtest the backbone's forecasts at every resolution on the last horizons of the series, and take the best.

    The error of a window is the mean absolute error over its observed targets, relative to the mean of all
    resolutions: every window counts alike, whatever its magnitude. Forecasts of the best three are averaged; of
    the series without their season, where that has a lower error by more than one standard error.

    Args:
        model: whose backbone, context and horizon count.
        panel: nothing later than its end is known.
        device: where to compute.
        season: steps of a season; 1 for none.
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
    windows = backtest_windows([series.values for series in panel], horizon)
    most = longest_resolution(backbone, horizon)
    candidates = [k for k in CANDIDATES if k == 1 or k <= most]
    if not windows:
        logger.warning("Resolution 1: no series is long enough for a backtest on its own past.")
        return ResolutionChoice((1,), 1, {}, 0)
    longest = max(past.shape[1] for past, _ in windows)
    seasons = (1, season) if 1 < season <= longest // 3 else (1,)
    found = {s: np.stack([_errors(model, k, s, windows, device, batch_size) for k in candidates]) for s in seasons}
    level = np.concatenate(list(found.values())).mean(axis=0)  # [W]
    relative = {s: np.where(level > 0, each / np.where(level > 0, level, 1.0), 1.0) for s, each in found.items()}
    chosen = {s: _best(each, candidates, s) for s, each in relative.items()}
    choice = chosen[1]
    if season in chosen and _is_better(*(_of_best(relative[s], candidates, chosen[s]) for s in (season, 1))):
        choice = chosen[season]
    logger.warning(choice.describe())  # a choice that decides the result is said on the command line too
    return choice


def _best(relative: np.ndarray, candidates: Sequence[int], season: int) -> ResolutionChoice:
    """Return the best three of some resolutions, given the relative error [K, W] of each in every window."""
    errors = dict(zip(candidates, relative.mean(axis=1).tolist(), strict=True))
    best = sorted(candidates, key=lambda k: errors[k])[:_AVERAGED]
    return ResolutionChoice(tuple(sorted(best)), season, errors, relative.shape[1])


def _of_best(relative: np.ndarray, candidates: Sequence[int], choice: ResolutionChoice) -> np.ndarray:
    """Return the mean error [W] of the resolutions that were chosen."""
    return relative[[candidates.index(k) for k in choice.resolutions]].mean(axis=0)


def _is_better(errors: np.ndarray, simpler: np.ndarray) -> bool:
    """Return whether errors [W] are lower than those of something simpler by more than one standard error."""
    gain = simpler - errors
    return len(gain) > 1 and bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def backtest_windows(values: Sequence[np.ndarray], horizon: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return past [C, any] and truth [C, H] of some windows, spread over the series [C, L]; shortest past first.

    The last horizon of each series, and of a few series some horizons before; only where each channel has a value in
    its past and one in its truth.
    """
    each = max(1, min(_ORIGINS, _WINDOWS // max(len(values), 1)))
    places = [
        (item, origin)
        for item, one in enumerate(values)
        for origin in range(one.shape[1] - horizon, max(_LEAST_PAST, one.shape[1] - each * horizon) - 1, -horizon)
    ]
    cut = [(values[item][:, :origin], values[item][:, origin : origin + horizon]) for item, origin in places]
    whole = [pair for pair in cut if all((~np.isnan(part)).any(axis=1).all() for part in pair)]
    chosen = [whole[row] for row in spread_rows(len(whole), _WINDOWS, seed=0)]
    return sorted(chosen, key=lambda pair: pair[0].shape[1])


def _errors(
    model: ForecastModel,
    resolution: int,
    season: int,
    windows: Sequence[tuple[np.ndarray, np.ndarray]],
    device: Any,
    batch_size: int,
) -> np.ndarray:
    """Return the mean absolute error of each window at a resolution, [W]."""
    lengths = model.prediction_length, None, model.context_length
    reader = ForecastModel.from_backbone(model.backbone, *lengths, resolution=resolution, season=season).eval()

    def forecast(batch: Any) -> Any:
        with torch.inference_mode():
            return reader(batch["past_values"].to(device), batch["input_mask"].to(device))

    forecasts = forecast_series(forecast, (past for past, _ in windows), model.context_length, batch_size)
    return np.array(
        [np.nanmean(np.abs(one.points() - truth)) for one, (_, truth) in zip(forecasts, windows, strict=True)]
    )
