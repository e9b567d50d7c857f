"""Importance scores: how close to the Shapley values, at what cost, and what is lost by following them.

For each data set and seed: the two phases of a fit, with LoRA on every linear layer of the encoder, then every score on
the same scoring windows. The reference are Shapley values of the loss on these windows. Deletion test: the best 25, 50
and 75 % of the modules stay open, without training, and the loss is read on other windows, which share no target step
with the scoring windows.

    python -m benchmarks.selection_fidelity --datasets ETTh1 ETTm1 ETTm2 weather --seeds 0 1 2
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fidelity_report
from benchmarks.common import Batch, Case, HeadStart, Row, fingerprint
from benchmarks.row_shapley import RowShapley, row_shapley
from benchmarks.score_variants import VARIANTS
from benchmarks.selection_scores import (
    SCORED,
    adapted,
    add_missing_rows,
    agreement,
    case_flags,
    disjoint_windows,
    timed_score,
)
from tracetune.backbones.loading import weights_digest
from tracetune.selection.estimates.gate_masks import CONTEXTS
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.validation import mean_loss, model_loss

SHARES = (0.25, 0.5, 0.75)
PASSES = 8
"""Passes with other masks that tell a score's noise from its bias."""


def case_row(case: Case, start: HeadStart, seed: int, arguments: argparse.Namespace) -> Row:
    """Return everything that is measured on one adapted model."""
    gates, seconds = adapted(case, start, seed, arguments)
    scoring, held_out = disjoint_windows(case, arguments.scoring_windows)
    scores = {label: timed_score(gates, scoring, label, seed) for label in (*SCORED, *VARIANTS)}
    began = time.perf_counter()
    reference = row_shapley(
        gates,
        scoring,
        model_loss,
        state_file=Path(arguments.state) / f"{weights_digest(gates.model)[:16]}-{arguments.scoring_windows}.json",
        least_pairs=arguments.least_pairs,
        most_pairs=arguments.most_pairs,
        split_half=arguments.split_half,
        seed=seed,
    )
    for score in scores.values():
        score |= agreement(np.array(score["values"]), reference.values)
    passes = {context: several_passes(gates, scoring, context) for context in CONTEXTS}
    rankings = {label: np.array(score["values"]) for label, score in scores.items()} | {"shapley": reference.values}
    return {
        "dataset": case.known.info.name,
        "seed": seed,
        "lora_seconds": seconds,
        "modules": list(gates.names),
        "scoring_windows": sum(len(batch["past_values"]) for batch in scoring),
        "held_out_windows": sum(len(batch["past_values"]) for batch in held_out),
        "shapley": reference_row(reference, time.perf_counter() - began),
        "scores": scores,
        "averaged": {context: averaged(values, reference) for context, values in passes.items()},
        "transfer": transfer(passes["budget"], several_passes(gates, held_out, "budget")),
        "deletion": deletion(gates, held_out, rankings, SHARES, seed, arguments.random_draws),
        "deletion_on_scoring": deletion(gates, scoring, rankings, (0.5,), seed, arguments.random_draws),
        "fingerprint": fingerprint(case, seed).to_dict(),
    }


def reference_row(reference: RowShapley, seconds: float) -> dict[str, Any]:
    """Return the Shapley values as JSON."""
    return {
        "values": reference.values.tolist(),
        "standard_errors": reference.standard_errors.tolist(),
        "pairs": reference.pairs,
        "split_half": reference.split_half,
        "passes": reference.passes,
        "seconds": seconds,
    }


def averaged(passes: np.ndarray, reference: RowShapley) -> dict[str, float]:
    """Return agreement of each of the passes [passes, M], and of their mean, which has less of the masks' noise."""
    single = [agreement(values, reference.values)["spearman"] for values in passes]
    together = agreement(passes.mean(axis=0), reference.values)["spearman"]
    return {"one_pass": float(np.mean(single)), "one_pass_lowest": min(single), "all_passes": together}


def transfer(scoring: np.ndarray, held_out: np.ndarray) -> float:
    """Return the Spearman correlation between mean importances [passes, M] on the scoring and on the held-out windows.

    It tells how far the choice of windows, and not the score, decides the ranking.
    """
    return agreement(scoring.mean(axis=0), held_out.mean(axis=0))["spearman"]


def several_passes(gates: Gates, windows: list[Batch], context: str) -> np.ndarray:
    """Return gated DSIC [passes, M], each pass with masks of its own."""
    options = {"gates": gates, "masks": "per_sample", "context": context}
    importances = (
        score_modules(gates.model, windows, model_loss, "gated_dsic", seed=1000 + draw, **options)
        for draw in range(PASSES)
    )
    return np.array([importance.scores for importance in importances])


def deletion(
    gates: Gates,
    windows: list[Batch],
    rankings: dict[str, np.ndarray],
    shares: tuple[float, ...],
    seed: int,
    random_draws: int,
) -> dict[str, Any]:
    """Return the loss with the best share of the modules open, by every ranking [M] and by random ones ("random")."""
    random = np.random.default_rng(seed)
    draws = [random.permutation(gates.M) for _ in range(random_draws)]

    def loss(order: np.ndarray, share: float) -> float:
        gates.set_open(gates.names[index] for index in order[: round(share * gates.M)])
        return mean_loss(gates.model, windows)

    kept = {
        label: {str(share): loss(np.argsort(-values, kind="stable"), share) for share in shares}
        for label, values in rankings.items()
        if label != "random"
    }
    at_random = {str(share): [loss(order, share) for order in draws] for share in shares}
    kept["random"] = {share: float(np.mean(losses)) for share, losses in at_random.items()}
    ends = {"all_closed": loss(draws[0], 0.0), "all_open": loss(draws[0], 1.0)}
    return {"kept": kept, "random_losses": at_random, **ends}


def parser() -> argparse.ArgumentParser:
    """Return flags; their defaults are the published run."""
    result = case_flags(__doc__, ["ETTh1", "ETTm1", "ETTm2", "weather"], [0, 1, 2], 8000, 2048)
    result.add_argument("--scoring-windows", type=int, default=256)
    result.add_argument("--head-epochs", type=float, default=5)
    result.add_argument("--lora-steps", type=int, default=200)
    result.add_argument("--batch-size", type=int, default=32)
    result.add_argument("--learning-rate", type=float, default=2e-3)
    result.add_argument("--least-pairs", type=int, default=4, help="pairs of orders behind the Shapley values")
    result.add_argument("--most-pairs", type=int, default=6)
    result.add_argument("--split-half", type=float, default=0.98, help="wanted correlation between their halves")
    result.add_argument("--random-draws", type=int, default=20)
    result.add_argument("--state", default="runs/selection_fidelity", help="folder for unfinished Shapley values")
    result.add_argument("--output", default="docs/results/selection_fidelity")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    options = parser().parse_args(arguments)
    add_missing_rows("selection_fidelity", options, fidelity_report.markdown, case_row)


if __name__ == "__main__":
    main()
