"""What scoring costs, and what it is worth: importance scores from few and from many windows; step times predicted.

For each data set and seed: a compact head on frozen features, then LoRA on every linear layer of the encoder. Scores
are read on growing numbers of windows, drawn anew several times, and compared with Shapley values of the same model on
other, more windows, which share no target step with them. Their seconds are in units of a training step on a batch.
Then the step-time profile is measured, and what it predicts for random sets of open modules is held against the clock.

    python -m benchmarks.selection_cost --datasets ETTh1 --seeds 0
"""

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import pearsonr

from benchmarks.common import (
    Batch,
    Case,
    HeadStart,
    Row,
    fingerprint,
    grouped,
    spread,
)
from benchmarks.row_shapley import row_shapley
from benchmarks.selection_scores import adapted, add_missing_rows, agreement, case_flags, disjoint_windows, timed_score
from benchmarks.step_time import training_step
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.backbones.loading import weights_digest
from tracetune.report.tables import markdown_table
from tracetune.selection.budgets.step_time import measure_step_time, step_seconds
from tracetune.selection.budgets.step_time_profile import lowest_block
from tracetune.selection.gates import Gates
from tracetune.selection.layers import module_place
from tracetune.selection.validation import model_loss

SCORES = ("gated_dsic", "gated_dsic, 8 masks a batch", "leave_one_out", "gradient")
BATCH = 64
_CHEAP = 3.0  # passes over a batch: scores that cost no more are drawn several times


def case_row(case: Case, start: HeadStart, seed: int, arguments: argparse.Namespace) -> Row:
    """Return everything that is measured on one adapted model."""
    gates, _ = adapted(case, start, seed, arguments)
    most = max(*arguments.windows, arguments.reference_windows)
    pool, others = (stacked(part) for part in disjoint_windows(case, most))
    reference = batches(others, spread(np.arange(size(others)), arguments.reference_windows))
    shapley = row_shapley(
        gates,
        reference,
        model_loss,
        state_file=Path(arguments.state) / f"{weights_digest(gates.model)[:16]}-{arguments.reference_windows}.json",
        least_pairs=arguments.pairs,
        most_pairs=arguments.pairs,
        seed=seed,
    )
    step = seconds_of_a_step(gates, batches(pool, np.arange(min(BATCH, size(pool))))[0], arguments.rounds)
    return {
        "dataset": case.known.info.name,
        "seed": seed,
        "modules": gates.M,
        "threads": torch.get_num_threads(),
        "training_step_seconds": step,
        "reference_windows": sum(map(size, reference)),
        "split_half": None if np.isnan(shapley.split_half) else shapley.split_half,
        "scores": list(score_rows(gates, pool, shapley.values, step, arguments)),
        "step_times": step_time_row(gates, reference[0], step, arguments),
        "fingerprint": fingerprint(case, seed).to_dict(),
    }


def score_rows(
    gates: Gates, pool: Batch, reference: np.ndarray, step: float, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the cost and agreement of each score on each number of windows, where it takes few enough passes."""
    for label in SCORES:
        for windows in arguments.windows:
            draws: list[dict[str, Any]] = []
            while len(draws) < (arguments.draws if _passes(label, gates.M) <= _CHEAP else 1):
                chosen = np.random.default_rng([windows, len(draws)]).permutation(size(pool))[:windows]
                scoring = batches(pool, np.sort(chosen))
                if _passes(label, gates.M) * len(scoring) > arguments.most_passes:
                    break
                score = timed_score(gates, scoring, label, seed=len(draws))
                draws.append(score)
            if draws:
                found = [agreement(np.array(score["values"]), reference)["spearman"] for score in draws]
                yield {
                    "score": label,
                    "windows": min(windows, size(pool)),
                    "draws": len(draws),
                    "passes": draws[0]["passes"] * min(windows, size(pool)),
                    "steps": float(np.median([score["seconds"] for score in draws])) / step,
                    "spearman": float(np.mean(found)),
                    "lowest": min(found),
                }


def _passes(label: str, modules: int) -> float:
    return {"leave_one_out": modules + 1.0, "gated_dsic, 8 masks a batch": 24.0}.get(label, 3.0)


def step_time_row(gates: Gates, batch: Batch, step: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return steps with random sets of open modules as shares of the step with all: predicted, and measured."""
    sets = random_sets(gates.names, arguments.sets)
    with fuse_lora(gates.model):
        started = time.perf_counter()
        profile = measure_step_time(gates, batch, model_loss)
        taken = time.perf_counter() - started
        whole, *seconds = step_seconds(gates, [gates.names, *sets], batch, model_loss, arguments.rounds).tolist()
    predicted = np.array([profile.seconds(opened) for opened in sets]) / profile.full
    measured = np.array(seconds) / whole
    return {
        "profile": profile.to_json(),
        "profile_steps": taken / step,
        "full_seconds": whole,
        "sets": [
            {"lowest block": lowest_block(opened), "open": len(opened), "predicted": one, "measured": other}
            for opened, one, other in zip(sets, predicted.tolist(), measured.tolist(), strict=True)
        ],
        "correlation": correlation(predicted, measured),
        "largest_error": float(np.max(np.abs(predicted - measured))),
        "mean_error": float(np.mean(np.abs(predicted - measured))),
    }


def correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Pearson's correlation; None where all values of one are the same, as on a clock that only shows noise."""
    return None if np.ptp(one) == 0 or np.ptp(other) == 0 else float(pearsonr(one, other).statistic)


def random_sets(names: tuple[str, ...], count: int, seed: int = 0) -> list[tuple[str, ...]]:
    """Return sets of open modules, each from a random block up, with a random share of the modules there."""
    random = np.random.default_rng(seed)
    blocks = sorted({module_place(name).depth for name in names})
    sets = []
    for _ in range(count):
        block = random.choice(blocks)
        above = [name for name in names if module_place(name).depth >= block]
        opened = random.permutation(len(above))[: random.integers(1, len(above) + 1)]
        sets.append(tuple(above[index] for index in sorted(opened)))
    return sets


def seconds_of_a_step(gates: Gates, batch: Batch, rounds: int) -> float:
    """Return the median seconds of whole optimizer steps with all modules open."""
    step = training_step(copy.deepcopy(gates.model), batch)
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def stacked(parts: list[Batch]) -> Batch:
    """Return batches as one."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def batches(windows: Batch, rows: np.ndarray) -> list[Batch]:
    """Return these rows, in batches."""
    parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return [{name: values[part] for name, values in windows.items()} for part in parts]


def size(batch: Batch) -> int:
    """Return the number of windows."""
    return len(next(iter(batch.values())))


def score_table(rows: list[Row]) -> list[dict[str, Any]]:
    """Return one line a score and number of windows, means over data sets and seeds."""
    flat = [score for row in rows for score in row["scores"]]
    return [
        {
            "score": label,
            "windows": windows,
            "forward passes": group[0]["passes"],
            "seconds, training steps": float(np.mean([score["steps"] for score in group])),
            "Spearman": float(np.mean([score["spearman"] for score in group])),
            "lowest of the draws": min(score["lowest"] for score in group),
            "draws": sum(score["draws"] for score in group),
        }
        for (label, windows), group in grouped(flat, "score", "windows")
    ]


def step_table(rows: list[Row]) -> list[dict[str, Any]]:
    """Return one line a model: how well its profile predicts steps."""
    return [
        {
            "data": row["dataset"],
            "seed": row["seed"],
            "sets": len(row["step_times"]["sets"]),
            "step with all open, ms": 1e3 * row["step_times"]["full_seconds"],
            "measured shares": _range([each["measured"] for each in row["step_times"]["sets"]]),
            "correlation": row["step_times"]["correlation"],
            "mean error": row["step_times"]["mean_error"],
            "largest error": row["step_times"]["largest_error"],
            "cost of the profile, training steps": row["step_times"]["profile_steps"],
        }
        for row in rows
    ]


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def markdown(rows: list[Row]) -> str:
    """Return both tables."""
    if not rows:
        return "No rows yet."
    first = rows[0]
    halves = [row["split_half"] for row in rows if row["split_half"] is not None]
    agreed = f" (their halves agree to {min(halves):.3f} and more)" if halves else ""
    return (
        f"## Scores\n\nSpearman's correlation with Shapley values{agreed} on {first['reference_windows']} other "
        "windows. Cost in forward passes of one window (a training step takes three for each of its windows), and in "
        f"seconds: those of a score, in training steps of {BATCH} windows, {first['threads']} threads.\n\n"
        f"{markdown_table(score_table(rows))}\n\n"
        "## Step times\n\nTraining steps with random sets of open modules, in shares of the step with all open: what "
        f"the profile predicts, against the clock.\n\n{markdown_table(step_table(rows))}"
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = case_flags(__doc__, ["ETTh1"], [0], 4000, 4096)
    result.add_argument("--windows", nargs="+", type=int, default=[32, 64, 128, 256, 512], help="scored windows")
    result.add_argument("--draws", type=int, default=3, help="draws of windows for scores of one pass")
    result.add_argument("--most-passes", type=float, default=200, help="passes over a batch that a score may take")
    result.add_argument("--reference-windows", type=int, default=512, help="windows of the Shapley values")
    result.add_argument("--pairs", type=int, default=2, help="pairs of orders a window behind the Shapley values")
    result.add_argument("--head-epochs", type=float, default=3)
    result.add_argument("--lora-steps", type=int, default=60)
    result.add_argument("--batch-size", type=int, default=BATCH)
    result.add_argument("--learning-rate", type=float, default=2e-3)
    result.add_argument("--sets", type=int, default=12, help="random sets of open modules to time")
    result.add_argument("--rounds", type=int, default=5, help="rounds over them")
    result.add_argument("--threads", type=int, default=1)
    result.add_argument("--state", default="runs/selection_cost", help="folder for unfinished Shapley values")
    result.add_argument("--output", default="docs/results/selection_cost")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    add_missing_rows("selection_cost", options, markdown, case_row)


if __name__ == "__main__":
    main()
