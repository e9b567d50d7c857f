"""Score LoRA modules by several methods, with Shapley values as reference, and draw the scores."""

from typing import Any

from torch import nn

from tracetune.backbones.loading import weights_digest
from tracetune.base.config import flat_values
from tracetune.base.folders import resumed_folder
from tracetune.base.identity import RECORD_FILE, claim, run_identity
from tracetune.data.digest import data_digest
from tracetune.data.splits import DividedPanel
from tracetune.estimators.fit_data import split_frames
from tracetune.estimators.forecaster import Forecaster
from tracetune.estimators.saved_model import is_saved_model
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import tune
from tracetune.fitting.methods.lora import Lora
from tracetune.fitting.names import ZERO_SHOT
from tracetune.fitting.run import Run
from tracetune.recipes.configs.importance import ImportanceConfig
from tracetune.recipes.finetune_report import HISTORY_FILE, draw_history
from tracetune.recipes.importance_scores import (
    MAY_CHANGE,
    STATE_FILE,
    agreement_rows,
    check_scores,
    report_scores,
    require_modules,
    score_all,
    write_scores,
)
from tracetune.selection.importance import Importance
from tracetune.tasks.forecast_data import forecast_data
from tracetune.tasks.forecasting import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_HORIZON = 96


def importance(config: ImportanceConfig) -> list[Importance]:
    """Score the LoRA modules of a model by several methods, and compare them with Shapley values."""
    assert config.output is not None
    check_scores(config.scores)
    saved = is_saved_model(config.model)
    horizon = config.prediction_length if saved else config.prediction_length or _HORIZON
    with resumed_folder(config.output, nothing=(RECORD_FILE,)) as folder:
        forecaster = Forecaster.from_pretrained(config.model, horizon, config.context_length, device=config.device)
        data = _data(forecaster, config)
        claim(folder, _identity(forecaster, data, config), (STATE_FILE,), restart=config.restart)
        model = _model(forecaster, data, config)
        found = score_all(model, data.validation, config, folder / STATE_FILE)
        agreement = agreement_rows(found)
        write_scores(folder, config, found, agreement)
        if forecaster.trace is not None and forecaster.trace.get("selection"):
            draw_history(folder / HISTORY_FILE, forecaster.trace["selection"])
    report_scores(found, agreement, config.output)
    return found


def fit_config(config: ImportanceConfig) -> FitConfig:
    """Return how LoRA is trained on a foundation model."""
    both: dict[str, Any] = {"batch_size": config.batch_size, "seed": config.seed}
    return FitConfig(
        method=Lora(config.lora.options()),
        head=config.head.config(),
        start=config.start,
        head_training=TrainingConfig(num_train_epochs=config.head_epochs, **both),
        training=TrainingConfig(
            learning_rate=config.learning_rate,
            head_learning_rate=config.head_learning_rate,
            max_steps=config.max_steps,
            **both,
        ),
    )


def _identity(forecaster: Forecaster, data: TrainingData, config: ImportanceConfig) -> dict[str, Any]:
    """Return what the Shapley values of an interrupted run belong to; more pairs than before refine them."""
    settings = {name: value for name, value in flat_values(config).items() if name not in MAY_CHANGE}
    return run_identity(
        **settings,
        weights=weights_digest(forecaster.model),
        train=data_digest(data.train),
        validation=data_digest(data.validation),
        versions=library_versions(),
    )


def _data(forecaster: Forecaster, config: ImportanceConfig) -> TrainingData:
    lengths = forecaster.context_length, forecaster.prediction_length
    if config.source.dataset is not None:
        parts = DividedPanel(*config.source.known_split())
    else:
        parts = split_frames(config.source.panel(forecaster.remembered), None, *lengths)
    return forecast_data(parts.panel, parts.split, *lengths, config.train_stride, parts.min_context, 8192)


def _model(forecaster: Forecaster, data: TrainingData, config: ImportanceConfig) -> nn.Module:
    """Return the fine-tuned model as it is, or LoRA trained on a foundation model.

    Raises:
        InputError: there are no LoRA modules, or too few to compare rankings of.
    """
    trace = forecaster.trace
    if trace is None:
        quantiles = config.start == ZERO_SHOT and forecaster.forecast_model.zero_shot_quantile_levels is not None
        lengths = forecaster.prediction_length, forecaster.context_length
        task = Forecasting(*lengths, forecaster.base_name, quantile_loss=quantiles)
        with Run.at(None, str(forecaster.device), [ProgressBar()]) as run:
            model = tune(task, forecaster.forecast_model.backbone, data, fit_config(config), run)
    else:
        model = forecaster.model
    require_modules(model, trace, config)
    return model
