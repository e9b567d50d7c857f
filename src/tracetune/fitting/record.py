"""The record of a fit: all that trace.json says about the run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, TypedDict

from peft import PeftModel
from torch import nn

from tracetune.base.json_types import JsonObject
from tracetune.evaluation.periods import period_means
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.candidates import Candidate, Candidates, Comparison
from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import HEAD, LEARNING_RATES
from tracetune.fitting.trained import History, TrainedAdapters, TrainedHead, TriedRate, trained_parameters
from tracetune.tasks.task import TaskModel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class CandidateRow(TypedDict):
    """A candidate and how it compares with the simpler ones, see `FitRecord`."""

    name: str
    validation_loss: float
    factor: float | None
    simpler: str | None
    gain: float | None
    error: float | None
    margin: float
    better: bool


class ValidationRecord(TypedDict):
    """Losses that the comparison rests on, see `FitRecord`."""

    margin: float
    period_losses: dict[str, list[float]]
    factors: dict[str, dict[str, float | None]]
    ended_early: list[str]
    learning_rates: list[JsonObject]


@dataclass(frozen=True)
class FitRecord:
    """Record of a fit.

    Attributes:
        winner: name of the candidate that came out.
        weights: "adapter", or "whole" where all weights were trained.
        head: configuration of the winner's head; None where the backbone does the task by itself.
        candidates: of each, name, validation loss, ``factor`` of shrinkage, and how it compares with the best of the
            ``simpler`` ones: its relative ``gain`` (positive: it is better, see ``relative_gain``), the standard
            ``error``, and the ``margin`` of such errors that it has to exceed.
        validation: what the comparison rests on: loss of each candidate in each period, losses at every factor tried,
            of which candidates the largest factor was best ("ended_early"), and the "learning_rates" that were tried,
            each with its steps, its loss, and whether it was taken.
        parameters: how many the winner trained, in "head" and "adapters" (or, fine-tuned in full, the backbone), and
            "adapters_before_selection", how many the method began with.
        seconds: wall-clock seconds of each phase, with all parts that were held out in turn; what the method reports
            is listed apart from training, and so are the "learning_rates" that were tried and not taken.
        method_report: what the method says of its work, e.g. "selection".
        prefix_blocks: see `TrainedAdapters`.
        history: the Trainer's log of each phase; not in trace.json.
        config: how it was fitted.
    """

    winner: str
    weights: str
    head: JsonObject | None
    candidates: tuple[CandidateRow, ...]
    validation: ValidationRecord
    parameters: dict[str, int]
    seconds: dict[str, float]
    method_report: JsonObject
    prefix_blocks: dict[str, int]
    history: dict[str, History]
    config: FitConfig

    @classmethod
    def of(
        cls,
        config: FitConfig,
        head: "DataclassInstance",
        candidates: Candidates,
        model: nn.Module,
        trained_head: TrainedHead | None,
        trained: TrainedAdapters | None,
    ) -> "FitRecord":
        """Collect the record of a fit whose winner became ``model``; ``head`` is the configuration that heads had."""
        seconds: dict[str, float] = {}
        history: dict[str, History] = {}
        parameters = trained_parameters(model)
        if trained_head is not None:
            seconds[HEAD], history[HEAD] = trained_head.seconds, trained_head.history
        if trained is not None:
            apart = trained.report.seconds
            training = max(0.0, trained.seconds - sum(apart.values()))  # of a resumed run apart is of all its processes
            seconds |= {config.method.name: training, **apart}
            if trained.rates:
                seconds[LEARNING_RATES] = trained.rate_seconds
            history[config.method.name] = trained.history
            parameters["adapters_before_selection"] = trained.adapters_before_selection
        return cls(
            winner=candidates.best().name,
            weights="adapter" if isinstance(model, PeftModel) else "whole",
            head=None if _task_model(model).head is None else asdict(head),
            candidates=tuple(_row(*pair) for pair in zip(candidates, candidates.comparisons(), strict=True)),
            validation=_validation(candidates, () if trained is None else trained.rates),
            parameters=parameters,
            seconds=seconds,
            method_report={} if trained is None else trained.report.content,
            prefix_blocks={} if trained is None else trained.prefix_blocks,
            history=history,
            config=config,
        )

    def to_json(self) -> JsonObject:
        """Return the record as JSON types."""
        method = self.config.method
        options: JsonObject = asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}
        return {
            "method": method.name,
            "winner": self.winner,
            "weights": self.weights,
            "head": self.head,
            "candidates": list(self.candidates),
            "validation": self.validation,
            "parameters": self.parameters,
            "seconds": {phase: round(seconds, 3) for phase, seconds in self.seconds.items()},
            "selection": None,
            **self.method_report,
            "prefix_blocks": self.prefix_blocks,
            "config": {**asdict(self.config), "method": {"name": method.name, **options}},
            "seed": self.config.training.seed,
            "versions": library_versions(),
        }


def _row(candidate: Candidate, comparison: Comparison) -> CandidateRow:
    gain = comparison.gain
    return {
        "name": candidate.name,
        "validation_loss": candidate.validation_loss,
        "factor": None if candidate.shrinkage is None else candidate.shrinkage.factor,
        "simpler": comparison.simpler,
        "gain": None if gain is None else gain.mean,
        "error": None if gain is None else gain.error,
        "margin": comparison.margin,
        "better": comparison.better,
    }


def _validation(candidates: Candidates, rates: Sequence[TriedRate]) -> ValidationRecord:
    return {
        "margin": candidates.margin,
        "period_losses": {each.name: period_means(each.losses, candidates.groups) for each in candidates},
        "factors": {
            each.name: {str(factor): loss for factor, loss in each.shrinkage.tried.items()}
            for each in candidates
            if each.shrinkage is not None
        },
        "ended_early": [each.name for each in candidates if each.shrinkage is not None and each.shrinkage.ended_early],
        "learning_rates": [asdict(rate) for rate in rates],
    }


def _task_model(model: nn.Module) -> TaskModel:
    found = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(found, TaskModel)
    return found
