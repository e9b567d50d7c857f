"""Do standard errors cover: how often a score lies within two of them of its true value, on games with known values.

Every seed draws other validation samples and other masks; the true value is that of all samples there could be. Seeds
are scored 25 at a time, as one model of independent copies of the game (copies share the shares of masks in the Shapley
context, and nothing else). Where losses come per sample masks are per sample, otherwise per batch; the diagonal has
none, and is held to its own value, the integral along the diagonal. Shapley values by permutations are those of the
very loss they are given, so that there only the orders are drawn.

    OMP_NUM_THREADS=1 python -m benchmarks.score_coverage
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.closed_form_games import (
    KINDS,
    Batch,
    ClosedFormGates,
    Game,
    draw_batches,
    loss_of_copies,
    make_game,
)
from benchmarks.common import Row, commit, flags, grouped
from tracetune.base.files import staged_file, write_json
from tracetune.report.tables import markdown_table
from tracetune.selection.scores import find_score
from tracetune.selection.scores.shapley import sampled_shapley

MODULES = 10
LAYOUTS = ((4, 64), (1, 64))  # batches and their size
SHARES = (1 / MODULES, 0.3, 0.5, 0.8, 1.0)
PAIRS = (8, 32)

COPIES = 25

Draw = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From a seed to estimates [S, M] of S independent trials, and their standard errors [S, M]."""


def rows(seeds: int) -> Iterator[Row]:
    """Yield coverage of every score on every game."""
    for kind in KINDS:
        game = make_game(kind, MODULES)
        shapley, diagonal = game.importance(None), game.diagonal_importance()
        for layout in LAYOUTS:
            place = {"game": kind, "batches": f"{layout[0]} x {layout[1]}"}
            for masks in ("per_sample", "per_batch"):
                for share in SHARES if layout == LAYOUTS[0] else SHARES[:2]:
                    draw = gated(game, layout, {"keep": share, "masks": masks}, "gated_dsic")
                    context = f"budget, q = {share:g}"
                    yield {**place, "score": masks, "context": context, **coverage(draw, game.importance(share), seeds)}
                draw = gated(game, layout, {"context": "shapley", "masks": masks}, "gated_dsic")
                yield {**place, "score": masks, "context": "shapley", **coverage(draw, shapley, seeds)}
            draw = gated(game, layout, {}, "diagonal")
            yield {**place, "score": "diagonal", "context": "diagonal", **coverage(draw, diagonal, seeds)}
        for pairs in PAIRS:
            found = coverage(permutations(game, pairs), shapley, seeds)
            yield {"game": kind, "batches": "", "score": f"{pairs} pairs", "context": "shapley", **found}


def gated(game: Game, layout: tuple[int, int], options: dict[str, Any], score: str) -> Draw:
    """Return a score on fresh samples: from losses per sample where masks are per sample, otherwise from their mean."""
    modules = len(game.linear)
    gates = ClosedFormGates(COPIES * modules)

    def loss_fn(model: Any, batch: Batch) -> torch.Tensor:
        return loss_of_copies(game, gates, batch)

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        batches = draw_batches(modules, COPIES, *layout, seed=10_000 + seed)
        seeded = {"seed": seed} if score == "gated_dsic" else {}
        found = find_score(score).function(gates, batches, loss_fn, **options, **seeded)
        assert found.standard_errors is not None
        return found.values.reshape(COPIES, modules), found.standard_errors.reshape(COPIES, modules)

    return draw


def permutations(game: Game, pairs: int) -> Draw:
    """Return Shapley values of the game without noise, by this many pairs of permutations."""
    modules, losses = len(game.linear), game.subset_losses()
    powers = 2 ** np.arange(modules)

    def loss(opened: np.ndarray) -> float:
        return float(losses[opened @ powers])

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        seeds = range(COPIES * seed, COPIES * (seed + 1))
        found = [sampled_shapley(loss, modules, pairs, seed=each, progress=False) for each in seeds]
        return np.array([each.values for each in found]), np.array([each.standard_errors for each in found])

    return draw


def coverage(draw: Draw, truth: np.ndarray, seeds: int) -> dict[str, float]:
    """Return shares of seeds in which the true value is within two standard errors: mean and lowest module.

    Beside them the root mean squared error, the errors claimed in units of it, and the largest bias of a module in
    units of the standard deviation of its estimates.
    """
    drawn = [draw(seed) for seed in range(seeds // COPIES)]
    estimates, errors = (np.concatenate([each[place] for each in drawn]) for place in (0, 1))
    deviations = np.abs(estimates - truth)
    covered = deviations <= 2 * errors + 1e-5
    exact = deviations.max() <= 1e-5
    root = float(np.sqrt((deviations**2).mean()))
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.abs(estimates.mean(0) - truth) / estimates.std(0)
    return {
        "coverage": float(covered.mean()),
        "lowest": float(covered.mean(0).min()),
        "error": root,
        "claimed": float("nan") if exact else float(np.sqrt((errors**2).mean())) / root,
        "bias": float("nan") if exact else float(bias.max()),
    }


def markdown(found: list[Row], seeds: int) -> str:
    """Return a table a game, and how many rows reach the target."""
    inexact = [row for row in found if np.isfinite(row["bias"])]
    within = sum(0.9 <= row["coverage"] <= 0.99 for row in inexact)
    lowest = min(row["lowest"] for row in inexact)
    lines = [
        f"Share of {seeds} seeds and {MODULES} modules whose true value is within two standard errors (95.4 % for "
        f"normal errors that are known). Target 90 to 99 %: reached by {within} of {len(inexact)} rows (those "
        f"without any error left out). Lowest: of a single module, {lowest:.3f} in the lowest row. Error: root mean "
        "squared. Claimed: "
        "root mean squared standard error, in units of it; above 1 where there are few batches, because errors are "
        "widened after Student's t. Bias: largest of a module, in standard deviations of its estimates "
        f"(up to {3 / np.sqrt(seeds):.2f} is the noise of so many seeds).",
        "In the last game the curvature of a module depends on which others are open (products such as g_1^2 g_2, "
        "g_1^2 g_2^2 and g_1^2 g_2 g_3). The two points of the diagonal are not exact for its product of five factors.",
    ]
    for (kind,), members in grouped(found, "game"):
        table = [{name: value for name, value in row.items() if name != "game"} for row in members]
        lines.append(f"## {kind}\n\n{markdown_table(table)}")
    return "\n\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help=f"a multiple of {COPIES}")
    parser.add_argument("--output", default="docs/results/score_coverage")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = []
    for row in rows(options.seeds):
        found.append(row)
        print(row, flush=True)
    header = {"command": f"python -m benchmarks.score_coverage {flags(options)}", "commit": commit()}
    finite = [{name: None if value != value else value for name, value in row.items()} for row in found]
    write_json(Path(options.output).with_suffix(".json"), {**header, "seeds": options.seeds, "rows": finite})
    with staged_file(Path(options.output).with_suffix(".md")) as temporary:
        text = f"`{header['command']}` at commit {header['commit']}\n\n{markdown(found, options.seeds)}\n"
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
