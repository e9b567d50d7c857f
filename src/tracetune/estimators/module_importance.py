"""Importance of the LoRA modules of an estimator, whatever its task: several scores side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track
from torch import nn
from transformers import TrainerCallback

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device
from tracetune.data.batch_source import BatchSource, spread_sample
from tracetune.data.windows import batches
from tracetune.estimators.scored_modules import Estimator, ScoredModules, require_modules
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import tune
from tracetune.selection.config import SelectionConfig
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.scores import SCORES, find_score
from tracetune.training.run import Run

SHAPLEY = "shapley"


@checked_fields
@dataclass(frozen=True)
class Scoring:
    """Choice of the importance scores to compute, and of the samples to compute them on.

    >>> Scoring(("gated_dsic", "magnitude"), samples=64).keep
    0.5

    Attributes:
        scores: methods to compare; () takes all of them.
        shapley_pairs: pairs of permutations for the Shapley values, the yardstick, which come first; 0 leaves them out.
        samples: validation samples that are used, evenly spread.
        batch_size: samples a batch.
        keep: share of the other modules that is open when gated_dsic scores one in the context "budget".
        context: which other modules are open when gated_dsic scores one: "budget" or "shapley".
        seed: fixes the result.

    Raises:
        InputError: an unknown score.
    """

    scores: Sequence[str] = ("gated_dsic",)
    shapley_pairs: int = 0
    samples: int = 256
    batch_size: int = 64
    keep: float = 0.5
    context: str = SelectionConfig.context
    seed: int = 0

    def __post_init__(self) -> None:
        check_scores(self.scores)


def module_importance(
    estimator: Estimator,
    data: Any,
    labels: Any = None,
    config: FitConfig | None = None,
    scoring: Scoring | None = None,
    *,
    callbacks: Sequence[TrainerCallback] = (),
    **reading: Any,
) -> list[Importance]:
    """Return how important the LoRA modules of an estimator are, by one or several scores on the same samples.

    A fitted estimator is scored as it is. On a foundation model LoRA is trained first, on a part of the data; the
    estimator stays as it is.

    >>> import numpy as np
    >>> from tracetune import AnomalyDetector, FitConfig, Lora, Scoring, TrainingConfig
    >>> wave = np.sin(np.arange(1200) / 6)
    >>> base = AnomalyDetector.from_pretrained("tracetune/tiny", device="cpu")
    >>> few = FitConfig(method=Lora(), training=TrainingConfig(max_steps=2, batch_size=4))
    >>> found = module_importance(base, wave, config=few, scoring=Scoring(samples=8))[0]
    >>> found.method, len(found.names) == len(found.scores)
    ('gated_dsic', True)

    Args:
        estimator: a forecaster, classifier, text classifier, imputer or anomaly detector, fitted or not.
        data: as its ``fit`` takes them; scores are measured on the part that its fit would validate on, those of a
            fitted classifier of series on all of them.
        labels: of series or texts that are no table.
        config: how LoRA is trained on a foundation model, and how the validation part is cut.
        scoring: which scores, and how they are measured; without it gated_dsic on 256 samples.
        callbacks: Trainer callbacks, where LoRA is trained.
        reading: how a table is read, as for ``fit``.

    Raises:
        InputError: unusable data, an unknown score, or a model without LoRA modules.
    """
    scoring = scoring or Scoring()
    if not hasattr(estimator, "scored_modules"):
        raise InputError(f"Expected an estimator of tracetune, found {type(estimator).__name__}.")
    if labels is not None and not hasattr(type(estimator), "classes"):
        raise InputError(f"{type(estimator).__name__} takes no labels. Leave them out.")
    scored = estimator.scored_modules(data, labels, config, **reading)
    model = trained_model(scored, callbacks)
    require_modules(model, scored, scoring.shapley_pairs > 0)
    return side_by_side(model, scored.data.validation, scoring)


def trained_model(scored: ScoredModules, callbacks: Sequence[TrainerCallback] = ()) -> nn.Module:
    """Return the fitted model as it is, or LoRA trained on the backbone, whether or not it is better."""
    if scored.model is not None:
        return scored.model
    with Run.at(None, scored.device, callbacks) as run:
        return tune(scored.task, scored.backbone, scored.data, scored.config, run)


def side_by_side(
    model: nn.Module,
    validation: BatchSource,
    scoring: Scoring,
    state_file: Path | None = None,
    *,
    progress: bool = False,
) -> list[Importance]:
    """Return the scores of every method, the Shapley values first where they are wanted; all on the same samples.

    Shapley values go on from ``state_file``, where an earlier call has left some.
    """
    windows = spread_sample(validation, scoring.samples, scoring.seed)
    read = list(batches(windows, scoring.batch_size, module_device(model)))
    found = []
    if scoring.shapley_pairs:
        options: dict[str, Any] = {"pairs": scoring.shapley_pairs, "seed": scoring.seed}
        options |= {"state_file": state_file, "progress": progress}
        found.append(score_modules(model, read, method=SHAPLEY, **options))
    given = {"keep": scoring.keep, "context": scoring.context, "seed": scoring.seed}
    for method in _with_progress(scoring.scores or _all_scores(), progress):
        options = {name: value for name, value in given.items() if name in find_score(method).options}
        found.append(score_modules(model, read, method=method, **options))
    return found


def check_scores(scores: Sequence[str]) -> None:
    """Refuse unknown scores before the work.

    Raises:
        InputError: an unknown score, or the yardstick.
    """
    for score in scores:
        if score == SHAPLEY:
            raise InputError("Shapley values are the yardstick, not one of --scores. Ask for --shapley-pairs N.")
        find_score(score)


def _all_scores() -> list[str]:
    """Return the names of all scores but the yardstick, signed ones first."""
    return sorted(SCORES.keys() - {SHAPLEY}, key=lambda name: (not SCORES[name].signed, name))


def _with_progress(methods: Sequence[str], progress: bool) -> Iterable[str]:
    return track(methods, "scoring") if progress else methods
