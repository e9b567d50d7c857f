"""Settings that choose a forecaster."""

from dataclasses import dataclass
from typing import Literal

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.errors import InputError, shown


@dataclass(frozen=True)
class ForecasterChoice:
    """A forecaster that was fine-tuned, or a foundation model as it is.

    Attributes:
        model: folder of a fine-tuned model, or a foundation model's name (see `tracetune models`).
        base: where the foundation model of a fine-tuned one is now, if its folder was moved.
        prediction_length: steps to forecast; a fine-tuned model has its number.
        resolution: points at which a step is read, for series that are short: 4, several such as 3,6,8 (forecasts are
            averaged), or auto (by a backtest on their past); a fine-tuned model has its own.
        adjust_trend: share of the trend, from 0 to 1, that is taken out before and put back after; 0.5 is half of it.
            Without it and --adjust-season, --resolution auto chooses both.
        adjust_season: steps of a season that is taken out before and put back after.
    """

    model: str = EMBEDDED_MODEL
    base: str | None = None
    prediction_length: int | None = None
    resolution: tuple[str, ...] = ()
    adjust_trend: float | None = None
    adjust_season: int | None = None

    def __post_init__(self) -> None:
        resolution_of(self.resolution)


def resolution_of(values: tuple[str, ...]) -> tuple[int, ...] | Literal["auto"] | None:
    """Return a resolution as the library takes it: "auto", numbers, or None where none was given.

    Raises:
        InputError: something else.
    """
    if not values:
        return None
    if values == ("auto",):
        return "auto"
    if not all(value.isascii() and value.isdecimal() for value in values):
        raise InputError(f"Expected --resolution auto, 4 or 3,6,8, found {shown(','.join(values))}.")
    return tuple(int(value) for value in values)
