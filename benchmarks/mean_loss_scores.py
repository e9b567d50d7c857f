"""Which score where the model only gives a mean loss: gated DSIC with masks per batch, or the diagonal.

LoRA on every linear layer of the encoder beside a compact head, as in selection_fidelity. Scores are read on a few
windows, drawn anew several times, and compared with the importance of the same modules on many other windows, by gated
DSIC with masks per sample. Scores of one line of the table cost the same number of passes over a window.

    OMP_NUM_THREADS=1 python -m benchmarks.mean_loss_scores
"""

import argparse
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchmarks.common import Batch, Case, HeadStart, Results, Row, fingerprint, grouped
from benchmarks.selection_cost import batches, size, stacked
from benchmarks.selection_fidelity import adapted, add_missing_rows, disjoint_windows
from tracetune.backbones.loading import load_backbone
from tracetune.report.tables import markdown_table
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.validation import model_loss

WINDOWS = 64
CONTEXTS: dict[str, dict[str, Any]] = {
    "budget, q = 0.25": {"keep": 0.25},
    "budget, q = 0.5": {"keep": 0.5},
    "shapley": {"context": "shapley"},
}
CANDIDATES: dict[str, tuple[str, dict[str, Any], int]] = {
    "8 masks a batch": ("gated_dsic", {"masks": "per_batch", "n_masks": 8}, WINDOWS),
    "4 masks a batch, 2 x windows": ("gated_dsic", {"masks": "per_batch", "n_masks": 4}, 2 * WINDOWS),
    "diagonal, 4 x windows": ("diagonal", {}, 4 * WINDOWS),
    "diagonal": ("diagonal", {}, WINDOWS),
}
"""Score, its options, and windows: the first three cost 24 passes over 64 windows, the last a quarter of it."""


def mean_loss(model: nn.Module, batch: Batch) -> Tensor:
    """What a model gives that reports no losses of samples."""
    return model_loss(model, batch).mean()


def case_row(case: Case, start: HeadStart, seed: int, arguments: argparse.Namespace) -> Row:
    """Agreement of every candidate with every context, on one adapted model."""
    gates, _ = adapted(case, start, seed, arguments)
    pool, others = (stacked(part) for part in disjoint_windows(case, arguments.reference_windows))
    many = batches(others, np.arange(size(others)))
    truth = {name: reference(gates, many, options, arguments.passes) for name, options in CONTEXTS.items()}
    found = []
    for label, (score, options, windows) in CANDIDATES.items():
        for context, setting in CONTEXTS.items():
            given = {**options, **setting} if score == "gated_dsic" else options
            values = [draw(gates, pool, score, given, windows, index) for index in range(arguments.draws)]
            agreement = [float(spearmanr(value, truth[context]).statistic) for value in values]
            found.append({"context": context, "score": label, "spearman": agreement})
    return {
        "dataset": case.known.info.name,
        "seed": seed,
        "modules": gates.M,
        "reference_windows": size(others),
        "scores": found,
        "fingerprint": fingerprint(case, seed).to_dict(),
    }


def reference(gates: Gates, windows: list[Batch], options: dict[str, Any], passes: int) -> np.ndarray:
    """Importance [M] on these windows, the mean over passes with masks of their own."""
    return np.mean([score_modules(gates.model, windows, seed=seed, **options).scores for seed in range(passes)], axis=0)


def draw(gates: Gates, pool: Batch, score: str, options: dict[str, Any], windows: int, index: int) -> np.ndarray:
    """The score [M] of windows that are drawn anew for each index, the same for every score."""
    chosen = np.sort(np.random.default_rng(index).permutation(size(pool))[:windows])
    seeded = {"seed": index} if score == "gated_dsic" else {}
    return score_modules(gates.model, batches(pool, chosen), mean_loss, score, **options, **seeded).scores


def markdown(rows: list[Row]) -> str:
    """A line a context, a column a score: Spearman, mean over draws and models, in brackets the lowest."""
    entries = [entry for row in rows for entry in row["scores"]]
    lines: dict[str, dict[str, str]] = {}
    for (context, score), members in grouped(entries, "context", "score"):
        values = [value for entry in members for value in entry["spearman"]]
        line = lines.setdefault(context, {"importance in context": context})
        line[score] = f"{np.mean(values):.3f} ({min(values):.3f})"
    text = (
        f"Spearman correlation of scores of {WINDOWS} windows or so, from mean losses alone, with the importance on "
        f"{rows[0]['reference_windows']} other windows; mean over {len(rows)} models and draws of the windows, lowest "
        "in brackets. All but the last column cost the same."
    )
    return f"{text}\n\n{markdown_table(list(lines.values()))}"


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["ETTh1"])
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--train-windows", type=int, default=4000, help="about how many, evenly spread")
    parser.add_argument("--validation-windows", type=int, default=2048, help="about how many, evenly spread")
    parser.add_argument("--reference-windows", type=int, default=384)
    parser.add_argument("--passes", type=int, default=4, help="over the reference windows")
    parser.add_argument("--draws", type=int, default=4, help="of the scoring windows")
    parser.add_argument("--head-epochs", type=float, default=3)
    parser.add_argument("--lora-steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--output", default="docs/results/mean_loss_scores")
    options = parser.parse_args(arguments)
    backbone = load_backbone(options.model)
    results = Results("mean_loss_scores", options, backbone, markdown, identity=("dataset", "seed"))
    add_missing_rows(results, backbone, options, case_row)


if __name__ == "__main__":
    main()
