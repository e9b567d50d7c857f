"""Importance of LoRA modules, whatever the task: scored, compared with Shapley values, written and printed."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from tracetune.backbones.loading import weights_digest
from tracetune.base.config import flat_values
from tracetune.base.folders import resumed_folder
from tracetune.base.identity import RECORD_FILE, claim, run_identity
from tracetune.data.digest import data_digest
from tracetune.estimators.module_importance import Scoring, check_scores, side_by_side, trained_model
from tracetune.estimators.scored_modules import ScoredModules, require_modules
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.config import FitConfig
from tracetune.fitting.learning_rate import with_rate
from tracetune.fitting.methods.lora import Lora
from tracetune.recipes.importance_report import agreement_rows, report_scores, write_scores
from tracetune.recipes.settings.finetune import LoraChoice
from tracetune.recipes.settings.scoring import ScoringChoice, SeriesLoraTraining
from tracetune.report.importance_plots import HISTORY_FILE, draw_history
from tracetune.selection.importance import Importance
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

STATE_FILE = "shapley_state.json"
_MAY_CHANGE = ("output", "restart", "device", "scores", "shapley_pairs", "data", "dataset", "model")
"""Settings that may differ between the parts of an interrupted run: what data and model hold is compared instead."""


def score_and_report(config: Any, scoring: ScoringChoice, load: Callable[[], ScoredModules]) -> list[Importance]:
    """Load model and samples, score, write and print; an interrupted run goes on with its Shapley values."""
    check_scores(scoring.scores)
    with resumed_folder(scoring.folder, nothing=(RECORD_FILE,)) as folder:
        scored = load()
        claim(folder, _identity(scored, config), (STATE_FILE,), restart=scoring.restart)
        model = trained_model(scored, [ProgressBar()])
        require_modules(model, scored, scoring.shapley_pairs > 0)
        chosen = Scoring(**{field.name: getattr(scoring, field.name) for field in fields(Scoring)})
        found = side_by_side(model, scored.data.validation, chosen, folder / STATE_FILE, progress=True)
        agreement = agreement_rows(found)
        write_scores(folder, flat_values(config), found, agreement)
        if scored.trace is not None and scored.trace.get("selection"):
            draw_history(folder / HISTORY_FILE, scored.trace["selection"])
    report_scores(found, agreement, scoring.folder)
    return found


def lora_fit(lora: LoraChoice, training: SeriesLoraTraining, scoring: ScoringChoice) -> FitConfig:
    """Return the configuration that trains LoRA on a foundation model of series."""
    both: dict[str, Any] = {"batch_size": scoring.batch_size, "seed": scoring.seed}
    return FitConfig(
        method=Lora(lora.options()),
        start=training.start,
        head_training=TrainingConfig(num_train_epochs=training.head_epochs, **both),
        training=TrainingConfig(
            learning_rate=training.learning_rate,
            head_learning_rate=training.head_learning_rate,
            max_steps=training.max_steps,
            **both,
        ),
    )


def _identity(scored: ScoredModules, config: Any) -> dict[str, Any]:
    """Return what the Shapley values of an interrupted run belong to; more pairs than before refine them."""
    settings = {name: value for name, value in flat_values(config).items() if name not in _MAY_CHANGE}
    settings["learning_rate"] = with_rate(scored.config, scored.task).training.learning_rate
    return run_identity(
        **settings,
        weights=weights_digest(scored.backbone if scored.model is None else scored.model),
        train=data_digest(scored.data.train),
        validation=data_digest(scored.data.validation),
        versions=library_versions(),
    )
