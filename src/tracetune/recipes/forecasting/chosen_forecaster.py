"""Load the forecaster that a command names."""

from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.recipes.forecasting.forecaster_choice import ForecasterChoice, resolution_of
from tracetune.tasks.forecasting.adjustment import UNADJUSTED, Adjustment


def load_chosen(choice: ForecasterChoice, device: str) -> Forecaster:
    """Load a fine-tuned forecaster, or a foundation model as it is.

    Raises:
        InputError: there is no such model, or it forecasts another number of steps.
    """
    return Forecaster.from_pretrained(
        choice.model,
        choice.prediction_length,
        base=choice.base,
        resolution=resolution_of(choice.resolution),
        adjustment=adjustment_of(choice.adjust_trend, choice.adjust_season),
        device=device,
    )


def adjustment_of(trend: float | None, season: int | None) -> Adjustment | None:
    """Return the trend and season that are taken out of series; None where nothing was said.

    Raises:
        InputError: no share, or a season below 1.
    """
    if trend is None and season is None:
        return None
    return Adjustment(UNADJUSTED.trend if trend is None else trend, UNADJUSTED.season if season is None else season)
