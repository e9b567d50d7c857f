"""Prediction intervals for point forecasts: quantiles of the validation errors, by horizon step.

Split conformal prediction with errors in units of each series' own deviation (Lei et al. 2018, section 2). Of n errors,
the quantile at (n + 1) / n of a level holds a new one with at least that probability; n counts windows that share no
target (overlapping ones are nearly the same error), and the level is interpolated instead of rounded up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tracetune.base.errors import InputError, argument, either, shown
from tracetune.base.json_types import JsonObject
from tracetune.base.module_device import module_device
from tracetune.base.plain_numbers import plain_number
from tracetune.base.schema import from_json
from tracetune.data.batch_source import BatchSource, chosen_rows
from tracetune.data.windows import batches

LEVELS = (0.01, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 0.99)
_SMALLEST_SAMPLE = 20  # windows; with fewer, the tails of single horizon steps are unknown
_LARGEST_SAMPLE = 4096  # windows; more do not sharpen the quantiles visibly
QuantileLevels = Sequence[float] | np.ndarray | float | None
"""Levels as users give them: several, one or none."""


@dataclass(frozen=True, eq=False)
class ResidualQuantiles:
    """Quantiles of (truth - forecast) / deviation of the context.

    Attributes:
        levels: [Q] in (0, 1), ascending.
        values: [H, Q], ascending along Q.
    """

    levels: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what no validation errors give, e.g. from an edited file."""
        levels, values = self.levels, self.values
        if levels.ndim != 1 or len(levels) == 0 or values.ndim != 2 or values.shape[1:] != levels.shape:
            raise InputError(
                f"Expected quantile levels [Q] and values [H, Q], found {list(levels.shape)} and {list(values.shape)}."
            )
        if not (levels[0] > 0 and levels[-1] < 1 and (np.diff(levels) > 0).all()):
            raise InputError(f"Expected ascending quantile levels between 0 and 1, found {shown(levels.tolist())}.")
        if not np.isfinite(values).all() or (np.diff(values) < 0).any():
            raise InputError("Expected finite quantiles that ascend with their levels, found others.")

    def at(self, levels: Sequence[float]) -> np.ndarray:
        """Return offsets [H, len(levels)] from the point forecast, interpolated linearly between the levels estimated.

        The point forecast is the median: lower quantiles are never above it, higher ones never below. (The median error
        of a few validation origins is mostly noise, and would bias all later forecasts.)

        Raises:
            InputError: a level lies outside of those that were estimated.
        """
        require_between(levels, self.levels[0], self.levels[-1])
        offsets = np.stack([np.interp(levels, self.levels, row) for row in self.values])
        side = np.sign(np.asarray(levels) - 0.5)  # -1 below the median, 0 at it, 1 above
        return side * np.maximum(side * offsets, 0)

    def to_dict(self) -> JsonObject:
        """Return the levels and offsets as JSON types."""
        return {"levels": self.levels.tolist(), "values": self.values.tolist()}

    @classmethod
    def from_dict(cls, content: object, where: str = "the record") -> "ResidualQuantiles":
        """Build them from what `to_dict` returned.

        Raises:
            InputError: other content; ``where`` says of which file.
        """
        table = from_json(_Table, content, where)
        rows = {len(row) for row in table.values}
        if len(rows) != 1:
            raise InputError(f"Expected rows of one length in the values of {where}, found {sorted(rows)}.")
        try:
            return cls(np.asarray(table.levels), np.asarray(table.values))
        except InputError as error:
            raise InputError(f"{where} cannot be used: {error}") from error


@dataclass(frozen=True)
class _Table:
    """Quantiles as JSON."""

    levels: list[float]
    values: list[list[float]]


def checked_levels(quantile_levels: object) -> tuple[float, ...]:
    """Return quantile levels as given by users: a number, a sequence of numbers, or None.

    Raises:
        InputError: something else, or a level that is not between 0 and 1.
    """
    name = argument("quantile_levels", flag="--quantiles")
    given = [] if quantile_levels is None else np.atleast_1d(np.asarray(quantile_levels, dtype=object)).tolist()
    levels = []
    for level in given:
        try:
            number = plain_number(level) if isinstance(level, str) else float(level)
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise InputError(f"Expected {name} such as 0.1 and 0.9, found {shown(level)}.")
        levels.append(number)
        if not 0 < levels[-1] < 1:
            raise InputError(f"Expected {name} between 0 and 1, found {shown(level)}.")
    return tuple(dict.fromkeys(levels))


def quantile_offsets(
    intervals: ResidualQuantiles | None, levels: Sequence[float], available: Sequence[float] | None = None
) -> np.ndarray | None:
    """Return offsets [H, Q] of quantiles from the point forecast; None if none are wanted or the model forecasts them.

    Args:
        intervals: of validation errors, if there are any.
        levels: those that are wanted.
        available: levels of the quantiles that the model forecasts; None where it forecasts points.

    Raises:
        InputError: quantiles are wanted of a forecaster that has none, or of other levels than it has.
    """
    if not levels:
        return None
    if available is not None:
        require_between(levels, available[0], available[-1])
        return None
    if intervals is None:
        raise InputError(
            "Quantiles need a fitted forecaster: they come from its validation errors. "
            f"{either('Call fit first', 'Run tracetune finetune first')}, or leave out "
            f"{argument('quantile_levels', flag='--quantiles')}."
        )
    return intervals.at(levels)


def quantiles_between(quantiles: torch.Tensor, known: Sequence[float], levels: Sequence[float]) -> torch.Tensor:
    """Return quantiles [..., len(levels)] from those [..., Q] at the known levels, interpolated linearly between them.

    Raises:
        InputError: a level lies outside of the known ones.
    """
    require_between(levels, known[0], known[-1])
    columns = []
    for level in levels:
        above = next(index for index, other in enumerate(known) if level <= other)
        below = above if level == known[above] else above - 1
        share = (level - known[below]) / (known[above] - known[below]) if above > below else 0.0
        columns.append(torch.lerp(quantiles[..., below], quantiles[..., above], share))
    return torch.stack(columns, dim=-1)


def require_between(levels: Sequence[float], low: float, high: float) -> None:
    """Refuse quantile levels that are not known.

    Raises:
        InputError: a level lies outside of the known ones.
    """
    for level in levels:
        if not low <= level <= high:
            raise InputError(f"Expected quantile levels between {low} and {high}, found {level}.")


def conformal_levels(levels: Sequence[float], independent: float) -> np.ndarray:
    """Return the levels [Q] to take quantiles of n independent errors at, each further out by (n + 1) / n.

    The median stays; where n is too small for a level, the largest error stands in (level 1).
    """
    given = np.asarray(levels)
    outer = np.minimum((1 + 1 / independent) * np.maximum(given, 1 - given), 1.0)
    return np.where(given > 0.5, outer, np.where(given < 0.5, 1 - outer, given))


def residual_quantiles(
    model: nn.Module, validation: BatchSource, independent: int | None = None, batch_size: int = 256
) -> ResidualQuantiles:
    """Return the error quantiles of ``model`` over (at most 4,096 evenly spaced) validation windows.

    From fewer than 20 windows the errors of all horizon steps make one sample: a short series has a single window,
    whose one error a step would be every quantile at once. The same holds for a step that was never observed. Windows
    whose context is constant are left out: they have no deviation to measure errors in, and are forecast as that
    constant.

    Args:
        model: forecasts points, in evaluation mode from here on.
        validation: windows that it was not trained on.
        independent: how many of them share no target with another one; None takes all for independent.
        batch_size: windows per forward pass.
    """
    size = len(validation)
    chosen = np.unique(np.linspace(0, size - 1, min(size, _LARGEST_SAMPLE)).astype(int)).tolist()
    device = module_device(model)
    residuals = []
    model.eval()
    with torch.inference_mode():
        for batch in batches(chosen_rows(validation, chosen), batch_size, device):
            output = model(batch["past_values"], batch["input_mask"])
            error = (batch["future_values"] - output.forecast) / output.scale
            counted = (batch["future_mask"] > 0) & _varies(batch["past_values"], batch["input_mask"])
            residuals.append(torch.where(counted, error, torch.nan).flatten(0, 1).cpu().numpy())
    stacked = np.concatenate(residuals)  # [windows * C, H]
    stacked = stacked[~np.isnan(stacked).all(axis=1)]
    if len(stacked) == 0:
        return ResidualQuantiles(np.asarray(LEVELS), np.zeros((residuals[0].shape[1], len(LEVELS))))
    levels = conformal_levels(LEVELS, min(len(stacked), independent or len(stacked)))
    pooled = np.broadcast_to(np.nanquantile(stacked, levels), (stacked.shape[1], len(LEVELS)))
    values = pooled
    if len(stacked) >= _SMALLEST_SAMPLE:
        seen = ~np.isnan(stacked).all(axis=0)
        values = np.where(seen[:, None], np.nanquantile(np.where(seen, stacked, 0.0), levels, axis=0).T, pooled)
    return ResidualQuantiles(np.asarray(LEVELS), np.maximum.accumulate(np.round(values, 6), axis=1))


def _varies(values: torch.Tensor, input_mask: torch.Tensor) -> torch.Tensor:
    """Return whether the observed steps of contexts [B, C, T] differ from each other: [B, C, 1]."""
    seen = input_mask > 0
    lowest = torch.where(seen, values, torch.inf).amin(dim=-1, keepdim=True)
    return torch.where(seen, values, -torch.inf).amax(dim=-1, keepdim=True) > lowest
