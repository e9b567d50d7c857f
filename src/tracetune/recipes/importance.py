"""Which LoRA modules matter: importance scores by several methods, with Shapley values as yardstick, and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from torch import nn

from tracetune.backbones.loading import weights_digest
from tracetune.base.config import flat_values
from tracetune.base.errors import InputError
from tracetune.base.files import resumed_folder, write_json
from tracetune.base.identity import RECORD_FILE, claim, run_identity
from tracetune.data.digest import data_digest
from tracetune.data.windows import batches, spread_sample
from tracetune.estimators.fit_data import split_frames
from tracetune.estimators.forecaster import Forecaster
from tracetune.estimators.saved_model import is_saved_model
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import tune
from tracetune.fitting.methods import Lora
from tracetune.fitting.names import ZERO_SHOT
from tracetune.fitting.run import Run
from tracetune.recipes.configs.importance import ImportanceConfig
from tracetune.recipes.finetune_report import HISTORY_FILE, draw_history
from tracetune.report.importance_plots import Panel, module_grid, plot_importance
from tracetune.report.tables import print_table, write_rows
from tracetune.selection.agreement import rank_agreement
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.layers import lora_modules
from tracetune.selection.scores import SCORES, find_score
from tracetune.tasks.forecast_data import forecast_data
from tracetune.tasks.forecasting import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.progress import ProgressBar
from tracetune.training.trainer import TrainingConfig

SHAPLEY = "shapley"
STATE_FILE = "shapley_state.json"
# Between the parts of an interrupted run; what data and model hold is compared, not where they lie.
_MAY_CHANGE = ("output", "restart", "device", "scores", "shapley_pairs", "data", "dataset", "model")
_LEAST_MODULES = 3  # to compare rankings of
_HORIZON = 96


def importance(config: ImportanceConfig) -> list[Importance]:
    """Return the score the LoRA modules of a model by several methods, and compare them with Shapley values."""
    assert config.output is not None
    _check_scores(config.scores)
    saved = is_saved_model(config.model)
    horizon = config.prediction_length if saved else config.prediction_length or _HORIZON
    with resumed_folder(config.output, nothing=(RECORD_FILE,)) as folder:
        forecaster = Forecaster.from_pretrained(config.model, horizon, config.context_length, device=config.device)
        data = _data(forecaster, config)
        claim(folder, _identity(forecaster, data, config), (STATE_FILE,), restart=config.restart)
        model = _model(forecaster, data, config)
        found = _score(model, data, config, folder / STATE_FILE)
        agreement = _agreement(found)
        _write(folder, config, found, agreement)
        if forecaster.trace is not None and forecaster.trace.get("selection"):
            draw_history(folder / HISTORY_FILE, forecaster.trace["selection"])
    _report(found, agreement, config.output)
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


def _check_scores(scores: Sequence[str]) -> None:
    for score in scores:
        if score == SHAPLEY:
            raise InputError("Shapley values are the yardstick, not one of --scores. Ask for --shapley-pairs N.")
        find_score(score)


def _identity(forecaster: Forecaster, data: TrainingData, config: ImportanceConfig) -> dict[str, Any]:
    """Return what the Shapley values of an interrupted run belong to; more pairs than before refine them."""
    settings = {name: value for name, value in flat_values(config).items() if name not in _MAY_CHANGE}
    return run_identity(
        **settings,
        weights=weights_digest(forecaster.model),
        train=data_digest(data.train),
        validation=data_digest(data.validation),
        versions=library_versions(),
    )


def _data(forecaster: Forecaster, config: ImportanceConfig) -> TrainingData:
    least = None
    if config.source.dataset is not None:
        panel, split = config.source.known_split()
    else:
        lengths = forecaster.context_length, forecaster.prediction_length
        panel, split, least = split_frames(config.source.panel(forecaster.remembered), None, *lengths)
    return forecast_data(
        panel, split, forecaster.context_length, forecaster.prediction_length, config.train_stride, least, 8192
    )


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
    modules = len(lora_modules(model))
    if modules == 0:
        assert trace is not None, "LoRA was trained on the foundation model"
        raise InputError(
            f"Expected LoRA modules in {config.model}, found none: {trace['winner']!r} did best on validation, out of "
            f"the method {trace['method']!r}. Give a folder that LoRA or TRACE won, or a foundation model's name."
        )
    if config.shapley_pairs and modules < _LEAST_MODULES:
        raise InputError(
            f"Expected at least {_LEAST_MODULES} LoRA modules to compare rankings of, found {modules}. "
            "Leave out --shapley-pairs, or adapt more layers."
        )
    return model


def _score(model: nn.Module, data: TrainingData, config: ImportanceConfig, state_file: Path) -> list[Importance]:
    """Return the scores of every method, the Shapley values first where they are wanted; all on the same windows."""
    windows = spread_sample(data.validation, config.samples, config.seed)
    validation = list(batches(windows, config.batch_size, next(model.parameters()).device))
    found = []
    if config.shapley_pairs:
        options: dict[str, Any] = {"pairs": config.shapley_pairs, "seed": config.seed}
        found.append(score_modules(model, validation, method=SHAPLEY, state_file=state_file, progress=True, **options))
    given = {"keep": config.keep, "context": config.context, "seed": config.seed}
    for method in track(config.scores or _all_scores(), "scoring"):
        options = {name: value for name, value in given.items() if name in find_score(method).options}
        found.append(score_modules(model, validation, method=method, **options))
    return found


def _all_scores() -> list[str]:
    """Return the names of all scores but the yardstick, signed ones first."""
    return sorted(SCORES.keys() - {SHAPLEY}, key=lambda name: (not SCORES[name].signed, name))


def _agreement(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """Return one row a score: rank correlations with the Shapley values; none without them."""
    yardstick = next((each.scores for each in found if each.method == SHAPLEY), None)
    if yardstick is None:
        return []
    rows = []
    for each in found:
        if each.method != SHAPLEY:
            agreement = rank_agreement(each.scores, yardstick)
            row: dict[str, Any] = {"score": each.method}
            for name, interval in (("spearman", agreement.spearman), ("kendall", agreement.kendall)):
                values = (interval.estimate, interval.low, interval.high)
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(_finite, values), strict=True))
            rows.append(row | {"modules": agreement.modules})
    return rows


def _write(
    output: Path, config: ImportanceConfig, found: Sequence[Importance], agreement: Sequence[dict[str, Any]]
) -> None:
    write_rows(output / "scores.csv", [row for each in found for row in _rows(each)])
    if agreement:
        write_rows(output / "agreement.csv", agreement)
    plot_importance(
        output / "heatmap.png",
        [
            Panel(each.method, dict(zip(each.names, each.scores.tolist(), strict=True)), find_score(each.method).signed)
            for each in found
        ],
    )
    content = {
        "modules": list(found[0].names),
        "scores": {each.method: _description(each) for each in found},
        "agreement": list(agreement),
        "config": flat_values(config),
    }
    write_json(output / "importance.json", content)


def _rows(each: Importance) -> list[dict[str, Any]]:
    errors = [None] * len(each.names) if each.standard_errors is None else map(_finite, each.standard_errors)
    return [
        {"module": name, "score": each.method, "value": value, "standard_error": error}
        for name, value, error in zip(each.names, each.scores.tolist(), errors, strict=True)
    ]


def _description(each: Importance) -> dict[str, Any]:
    rows = _rows(each)
    return {
        "values": {row["module"]: row["value"] for row in rows},
        "standard_errors": {row["module"]: row["standard_error"] for row in rows},
        "share_beyond_noise": each.share_beyond_noise,
        "signed": find_score(each.method).signed,
        "samples": each.samples,
        "forward_equivalents": each.forward_equivalents,
        "seconds": each.seconds,
        "options": {name: value for name, value in each.options.items() if name not in ("state_file", "progress")},
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _report(found: Sequence[Importance], agreement: Sequence[dict[str, Any]], output: str) -> None:
    of_score = {row["score"]: row for row in agreement}
    labels = module_grid(found[0].names).labels()
    rows = [
        {
            "score": each.method,
            "most important": labels[each.ranking()[0]],
            "seconds": each.seconds,
            "forward passes": each.forward_equivalents,
            **{name: of_score[each.method][name] for name in ("spearman", "kendall") if each.method in of_score},
        }
        for each in found
    ]
    print_table(f"Importance of {len(found[0].names)} LoRA modules" + (", beside Shapley" if agreement else ""), rows)
    Console().print(f"Written to {output}: scores.csv, importance.json, heatmap.png")
