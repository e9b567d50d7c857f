"""Scores of the modules of an adapted model, a row a data set and seed: what benchmarks of selection share."""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from benchmarks.common import Batch, Case, HeadStart, Results, Row, chosen, head_start, load_case, spread, tuned_from
from benchmarks.score_variants import VARIANTS
from tracetune.adapters.options import LoraOptions
from tracetune.backbones.loading import load_backbone
from tracetune.data.windows import Windows
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import Lora
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.scores import ScoreValues
from tracetune.selection.validation import model_loss, undisturbed
from tracetune.training.config import TrainingConfig

MakeRow = Callable[[Case, HeadStart, int, argparse.Namespace], Row]
SCORED: dict[str, tuple[str, dict[str, Any]]] = {
    "gated_dsic": ("gated_dsic", {"masks": "per_sample", "context": "budget"}),
    "gated_dsic, context shapley": ("gated_dsic", {"masks": "per_sample", "context": "shapley"}),
    "gated_dsic, 8 masks a batch": ("gated_dsic", {"masks": "per_batch", "context": "budget"}),
    "gated_dsic, 8 masks a batch, context shapley": ("gated_dsic", {"masks": "per_batch", "context": "shapley"}),
    "diagonal": ("diagonal", {}),
    "leave_one_out": ("leave_one_out", {}),
    "all_open_gradient": ("all_open_gradient", {}),
    "gradient": ("gradient", {}),
    "adalora": ("adalora", {}),
    "magnitude": ("magnitude", {}),
    "kappa": ("kappa", {}),
    "random": ("random", {}),
}


def adapted(case: Case, start: HeadStart, seed: int, arguments: argparse.Namespace) -> tuple[Gates, float]:
    """Return LoRA on every linear layer of the encoder, trained with the head, and the seconds that took."""
    training = TrainingConfig(
        max_steps=arguments.lora_steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=seed,
    )
    model, trained = tuned_from(start, case, FitConfig(method=Lora(LoraOptions(r=2)), training=training))
    return Gates(model), trained.seconds


def disjoint_windows(case: Case, count: int) -> tuple[list[Batch], list[Batch]]:
    """Return scoring and held-out windows, both evenly spread over the validation part, without a common target step.

    Origins alternate in blocks of H, with a block of H left out between them.
    """
    windows: Windows = case.validation
    origins = np.array([windows.locate(index)[2] for index in range(len(windows))])
    block = (origins - origins.min()) // case.horizon % 4
    scoring, held_out = (spread(np.flatnonzero(block == place), count) for place in (0, 2))
    return chosen(windows, scoring), chosen(windows, held_out)


def timed_score(gates: Gates, scoring: list[Batch], label: str, seed: int) -> dict[str, Any]:
    """Return one score, its standard errors and its cost; passes are forward passes over the scoring windows."""
    if label in VARIANTS:
        began = time.perf_counter()
        with undisturbed(gates.model):
            result: ScoreValues = VARIANTS[label](gates, scoring, model_loss, seed=seed)
        values, errors, seconds = result.values, result.standard_errors, time.perf_counter() - began
        passes = result.forward_equivalents
    else:
        method, options = SCORED[label]
        seeded = {"seed": seed} if method in ("gated_dsic", "random") else {}
        importance = score_modules(gates.model, scoring, model_loss, method, gates=gates, **options, **seeded)
        values, errors, seconds = importance.scores, importance.standard_errors, importance.seconds
        passes = importance.forward_equivalents
    return {
        "values": values.tolist(),
        "standard_errors": None if errors is None or not np.isfinite(errors).all() else errors.tolist(),
        "seconds": seconds,
        "passes": passes / len(scoring),
    }


def agreement(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return rank correlations with the Shapley values; 0 for a score that is the same for all modules."""
    correlations = {"spearman": spearmanr(values, reference), "kendall": kendalltau(values, reference)}
    return {name: float(np.nan_to_num(result.statistic)) for name, result in correlations.items()}


def case_flags(
    description: str | None, datasets: list[str], seeds: list[int], train_windows: int, validation_windows: int
) -> argparse.ArgumentParser:
    """Return a command line with the flags that say which cases are run; the arguments are their defaults."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--datasets", nargs="+", default=datasets)
    result.add_argument("--model", default="tracetune/tiny")
    result.add_argument("--context", type=int, default=512)
    result.add_argument("--horizon", type=int, default=96)
    result.add_argument("--seeds", nargs="+", type=int, default=seeds)
    about = "about how many, evenly spread"
    result.add_argument("--train-windows", type=int, default=train_windows, help=about)
    result.add_argument("--validation-windows", type=int, default=validation_windows, help=about)
    return result


def add_missing_rows(
    name: str, options: argparse.Namespace, markdown: Callable[[list[Row]], str], make_row: MakeRow
) -> None:
    """Add a row for each data set and seed that has none yet, from a head trained on frozen features.

    Args:
        name: of the benchmark's module.
        options: its command line.
        markdown: page of its rows.
        make_row: from a case, a trained head, a seed and the command line.
    """
    backbone = load_backbone(options.model)
    cases = "datasets", "seeds", "output", "state"
    results = Results(name, options, backbone, markdown, identity=("dataset", "seed"), cases=cases)
    for dataset in options.datasets:
        missing = [seed for seed in options.seeds if results.find(dataset=dataset, seed=seed) is None]
        if missing:
            case = load_case(
                dataset, options.horizon, options.train_windows, options.validation_windows, context=options.context
            )
            for seed in missing:
                began = time.perf_counter()
                head_training = TrainingConfig(num_train_epochs=options.head_epochs, seed=seed)
                start = head_start(case, backbone, FitConfig(head_training=head_training))
                row = make_row(case, start, seed, options)
                results.add({**row, "seconds": time.perf_counter() - began})
    results.write()
