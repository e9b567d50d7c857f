"""The typed record of a forecaster in trace.json: what loading needs, and what commands read of its fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from torch import nn

from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json, require_counts
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel
from tracetune.estimators.intervals import ResidualQuantiles
from tracetune.estimators.saved_model import BaseModel
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.adjustment import Adjustment
from tracetune.tasks.forecasting.data import ForecastData
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.tasks.forecasting.naive_forecasts import naive_losses
from tracetune.tasks.forecasting.resolution import AUTO, Resolution, checked_resolutions
from tracetune.tasks.task import task_model_of

if TYPE_CHECKING:
    from tracetune.fitting.fit import Fitted


@dataclass(frozen=True)
class ForecastRecord:
    """The keys of trace.json that a forecaster needs; further ones are kept as they are.

    Attributes:
        prediction_length: H.
        context_length: T.
        head: what its head is built from; None for zero-shot forecasts.
        intervals: quantiles of its validation errors, see `ResidualQuantiles`.
        non_negative: whether forecasts are clipped at 0.
        method: how it was fitted.
        winner: the candidate that came out of the fit.
        candidates: name and validation loss of each.
        parameters: how many were trained, in "head" and "adapters".
        seconds: of each phase of the fit.
        data: items, channels, frequency, windows.
        config: of the fit.
        selection: what TRACE did; None for other methods.
        seed: of the fit.
        versions: of the libraries.
        resolutions: points a step at which the backbone reads series, see tasks/forecasting/resolution.py.
        season: steps of the season that is taken out before and put back after; 1 for none.
        trend: share of the trend that is taken out before and put back after.
    """

    prediction_length: int
    context_length: int
    head: HeadConfig | None
    intervals: JsonObject | None
    non_negative: bool
    method: str
    winner: str
    candidates: list[JsonObject]
    parameters: dict[str, int]
    seconds: dict[str, float]
    data: JsonObject
    config: JsonObject
    selection: JsonObject | None
    seed: int
    versions: dict[str, str]
    resolutions: tuple[int, ...]
    season: int
    trend: float

    def __post_init__(self) -> None:
        require_counts(self, "prediction_length", "context_length")
        checked_resolutions(self.resolutions)
        self.adjustment  # noqa: B018 - refuses what is none

    @property
    def adjustment(self) -> Adjustment:
        """Return what is taken out before and put back after."""
        return Adjustment(self.trend, self.season)

    @classmethod
    def from_json(cls, record: Mapping[str, object], where: str) -> "ForecastRecord":
        """Check what was read from the file ``where``.

        Raises:
            InputError: a key is missing or holds something else.
        """
        typed = from_json(cls, record, where)
        if (quantiles := typed.quantiles(where)) is not None and len(quantiles.values) != typed.prediction_length:
            raise InputError(
                f"Expected intervals for {typed.prediction_length} steps in {where}, found {len(quantiles.values)}. "
                "Restore it from its source."
            )
        return typed

    def quantiles(self, where: str = "trace.json") -> ResidualQuantiles | None:
        """Return the intervals, if there are any."""
        return None if self.intervals is None else ResidualQuantiles.from_dict(self.intervals, f"intervals in {where}")

    def require(self, folder: str, **wanted: int | None) -> None:
        """Refuse another length than was fine-tuned for, where one is given.

        Raises:
            InputError: names both.
        """
        for name, given in wanted.items():
            if given is not None and given != (kept := getattr(self, name)):
                raise _fitted_otherwise(folder, f"for {argument(name, kept)}", argument(name, given))

    def require_resolution(self, folder: str, given: Resolution | None) -> None:
        """Refuse another resolution than was fine-tuned at, where one is given.

        Raises:
            InputError: names both.
        """
        if given is None or given == AUTO or checked_resolutions(given) == tuple(self.resolutions):
            return
        kept = list(self.resolutions)
        raise _fitted_otherwise(folder, f"at {argument('resolution', kept)}", argument("resolution", given))

    def require_adjustment(self, folder: str, given: Adjustment | None) -> None:
        """Refuse another adjustment than was fine-tuned with, where one is given.

        Raises:
            InputError: names both.
        """
        if given is None or given == self.adjustment:
            return
        raise InputError(
            f"{folder} was fine-tuned without {self.adjustment.describe() or 'any adjustment'} of its series, found "
            f"{given.describe() or 'nothing'} to be taken out. Leave that out, or fine-tune again."
        )


def fit_record(panel: Panel, data: ForecastData, fitted: "Fitted", base: BaseModel) -> JsonObject:
    """Return what trace.json says of a fit: the record of the fit, of its data, and what loading needs."""
    model = inner_model(fitted.model)
    return {
        **fitted.record.to_json(),
        "head": None if model.head_config is None else asdict(model.head_config),
        "base_model": asdict(base),
        "prediction_length": model.prediction_length,
        "context_length": model.context_length,
        "resolutions": list(model.resolutions),
        **asdict(model.adjustment),
        "reading": panel.origin.reading,
        "data": {
            "items": len(panel),
            "channels": list(panel.channels),
            "freq": panel.freq,
            "train_windows": len(data.train),
            "validation_windows": len(data.validation),
            "counts": None if data.counts is None else asdict(data.counts),
        },
        "naive": naive_losses(data.validation, model.prediction_length, seasonality(panel.freq)),
    }


def inner_model(model: nn.Module) -> ForecastModel:
    """Return the forecasting model inside PEFT's wrapper, or itself."""
    return task_model_of(model, ForecastModel)


def _fitted_otherwise(folder: str, how: str, found: str) -> InputError:
    return InputError(f"{folder} was fine-tuned {how}, found {found}. Leave it out, or fine-tune again.")
