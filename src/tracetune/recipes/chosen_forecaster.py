"""Load the forecaster that a command names."""

from tracetune.estimators.forecaster import Forecaster
from tracetune.recipes.configs.forecaster import ForecasterChoice, resolution_of


def load_chosen(choice: ForecasterChoice, device: str) -> Forecaster:
    """Load a fine-tuned forecaster, or a foundation model as it is.

    Raises:
        InputError: there is no such model, or it forecasts another number of steps.
    """
    resolution = resolution_of(choice.resolution)
    return Forecaster.from_pretrained(
        choice.model, choice.prediction_length, base=choice.base, resolution=resolution, device=device
    )
