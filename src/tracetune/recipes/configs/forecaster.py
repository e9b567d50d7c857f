"""Which forecaster a command runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # PyTorch comes with it; help and mistyped flags do without
    from tracetune.estimators.forecaster import Forecaster


@dataclass(frozen=True)
class ForecasterChoice:
    """A forecaster that was fine-tuned, or a foundation model as it is.

    Attributes:
        model: folder of a fine-tuned model, or a foundation model's name (see `tracetune models`).
        base: where the foundation model of a fine-tuned one is now, if its folder was moved.
        prediction_length: steps to forecast; a fine-tuned model has its number.
    """

    model: str = "tracetune/tiny"
    base: str | None = None
    prediction_length: int | None = None

    def load(self, device: str) -> Forecaster:
        """Load it.

        Raises:
            InputError: there is no such model, or it forecasts another number of steps.
        """
        from tracetune.estimators.forecaster import Forecaster

        return Forecaster.from_pretrained(self.model, self.prediction_length, base=self.base, device=device)
