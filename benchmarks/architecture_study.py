"""Variants of the embedded model's recipe with one change each, pretrained at equal compute.

Equal compute is equal numbers of floating-point operations: those of one forward pass over a window are counted, and a
variant sees as many synthetic windows as cost what the windows of the base cost. Seconds would depend on other work of
the machine. Every variant is judged on validation windows of real series, never on test: by a ridge head on its frozen
features, the penalty chosen on the same windows, and by its own zero-shot forecast, H = 96, context 512.

    python -m benchmarks.architecture_study --windows 150000
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.common import CONTEXT, Case, Results, Row, cached_features, fingerprint, load_case
from benchmarks.frozen_features import list_batches
from tracetune.backbones.loading import load_backbone
from tracetune.backbones.moment import Moment
from tracetune.base.errors import unknown_name
from tracetune.base.seeds import seed_everything
from tracetune.evaluation.cost import Stopwatch, count_flops, count_parameters
from tracetune.evaluation.protocol import ProtocolFingerprint
from tracetune.heads.build import build_head
from tracetune.heads.config import HeadConfig
from tracetune.heads.solvers.ridge import fit_ridge
from tracetune.recipes.pretrain import PretrainConfig, moment_config, pretrain
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.measure import validation_loss

DATASETS = ("ETTh1", "ETTm1")
HORIZON = 96
HEAD = HeadConfig("projection", beta=8)
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "shallow": {"layers": 3, "width": 192, "feed_forward": 576},
    "deep": {"layers": 10, "width": 96, "feed_forward": 288},
    "patch-8": {"patch_length": 8},
    "patch-32": {"patch_length": 32},
    "random-25": {"masking": {"random_share": 0.25}},
    "random-75": {"masking": {"random_share": 0.75}},
    "huber-0.5": {"huber_delta": 0.5},
    "squared": {"huber_delta": 1e6},
}


def variant_config(variant: str, windows: int, batch_size: int, seed: int, device: str, output: str) -> PretrainConfig:
    """Return the recipe of a variant, with as many windows as the base could read of ``windows`` at equal compute.

    Raises:
        InputError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    base = PretrainConfig(
        output=output, windows=windows, context_length=CONTEXT, batch_size=batch_size, evaluations=1, seed=seed,
        device=device, num_workers=0,
    )  # fmt: skip
    config = replace(base, **VARIANTS[variant])
    return replace(config, windows=round(windows * flops_per_window(base) / flops_per_window(config)))


def flops_per_window(config: PretrainConfig) -> int:
    """Return operations of one forward pass over one window; training costs about three times that."""
    window = torch.zeros(1, 1, config.context_length)
    with torch.no_grad():
        return count_flops(Moment(moment_config(config)), window)


def study_row(variant: str, config: PretrainConfig, cases: dict[str, Case]) -> Row:
    """Pretrain a variant and judge it on every data set."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, watch:
        backbone = pretrain(replace(config, output=folder)).to("cpu").eval()
    return {
        "variant": variant,
        "seed": config.seed,
        "windows": config.windows,
        "steps": config.windows // config.batch_size,
        "parameters": count_parameters(backbone).total,
        "flops": flops_per_window(config),
        "seconds": watch.seconds,
        "validation": {
            f"{name}, {way}": judge(case, backbone) for name, case in cases.items() for way, judge in JUDGES.items()
        },
        "fingerprints": {name: validation_fingerprint(case, config.seed).to_dict() for name, case in cases.items()},
    }


def ridge_error(case: Case, backbone: Moment) -> float:
    """Return validation MSE of a compact head in closed form on frozen features."""
    model = ForecastModel.from_backbone(backbone, case.horizon, HeadConfig("flatten"), case.context).eval()
    seed_everything(0)
    head = build_head(HEAD, backbone.num_patches(case.context), backbone.width, case.horizon)
    features = (list_batches(cached_features(model, windows)) for windows in (case.train, case.validation))
    return fit_ridge(head, *features).validation_loss


def zero_shot_error(case: Case, backbone: Moment) -> float:
    """Return validation MSE of the zero-shot forecast."""
    return validation_loss(ForecastModel.from_backbone(backbone, case.horizon, None, case.context), case.validation)


JUDGES: dict[str, Callable[[Case, Moment], float]] = {"ridge": ridge_error, "zero-shot": zero_shot_error}


def validation_fingerprint(case: Case, seed: int) -> ProtocolFingerprint:
    """Return the protocol of a data set, with the stride of its validation windows in the place of the test ones'."""
    name = f"{case.known.info.name}, validation part"
    return replace(fingerprint(case, seed), dataset=name, stride=case.validation.stride)


def markdown(rows: list[Row]) -> str:
    """Return variants of the first seed by mean rank, what they are and cost, and further seeds."""
    first = rows[0]["seed"] if rows else 0
    ranked = by_rank([row for row in rows if row["seed"] == first])
    further = [{"variant": row["variant"], "seed": row["seed"], **row["validation"]} for row in rows]
    seeds = f"\n\n## Every seed\n\nThe spread between seeds.\n\n{markdown_table(further)}"
    return (
        f"Validation MSE at H = {HORIZON}, context {CONTEXT}, scaled values; no test value is read. Ridge: compact "
        f"head (beta {HEAD.beta}) in closed form on frozen features. The mean rank is over the columns of errors.\n\n"
        "All variants had the same floating-point operations, one seed, the learning rate and batch size of the base, "
        "and a small share of the windows that the embedded model saw: the order is rough, close errors are ties, and "
        "a longer run may order them differently. The weights of tracetune/tiny were pretrained before this study with "
        "the recipe of the line 'base'; nothing in them was chosen by it.\n\n"
        f"{markdown_table(ranked)}\n\n## What they are\n\n{markdown_table([_description(row) for row in rows])}"
        f"{seeds if any(row['seed'] != first for row in rows) else ''}"
    )


def by_rank(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return errors and mean rank of each variant, the best first; equal errors share their ranks' mean."""
    if not rows:
        return []
    errors = np.array([list(row["validation"].values()) for row in rows])
    ranks = rankdata(errors, axis=0).mean(axis=1)
    lines = [
        {"variant": row["variant"], **row["validation"], "mean rank": float(rank)}
        for row, rank in zip(rows, ranks, strict=True)
    ]
    return sorted(lines, key=lambda line: line["mean rank"])


def _description(row: Row) -> dict[str, Any]:
    changes = VARIANTS[row["variant"]]
    named = {**changes, **changes.get("masking", {})}
    return {
        "variant": row["variant"],
        "change": ", ".join(f"{name} {value:g}" for name, value in named.items() if name != "masking") or "none",
        "seed": row["seed"],
        "windows": row["windows"],
        "steps": row["steps"],
        "parameters": row["parameters"],
        "MFLOP a window": row["flops"] / 1e6,
        "seconds": row["seconds"],
    }


def main() -> None:
    """Run all variants; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny", help="whose recipe is varied; its weights are only named")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--windows", type=int, default=150_000, help="synthetic windows that the base sees")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--train-windows", type=int, default=6000, help="for the ridge heads, about; evenly spread")
    parser.add_argument("--validation-windows", type=int, default=2000, help="about how many, evenly spread")
    parser.add_argument("--device", default="cpu", help="where to pretrain")
    parser.add_argument("--output", default="docs/results/architecture_study")
    arguments = parser.parse_args()
    configs = {
        (variant, seed): variant_config(
            variant, arguments.windows, arguments.batch_size, seed, arguments.device, arguments.output
        )
        for seed in arguments.seeds
        for variant in arguments.variants
    }
    cases = {
        name: load_case(name, HORIZON, arguments.train_windows, arguments.validation_windows)
        for name in arguments.datasets
    }
    results = Results(
        "architecture_study", arguments, load_backbone(arguments.model), markdown, ("variant", "seed"),
        cases=("variants", "seeds", "output"),
    )  # fmt: skip
    for (variant, seed), config in configs.items():
        if results.find(variant=variant, seed=seed) is None:
            results.add(study_row(variant, config, cases))


if __name__ == "__main__":
    main()
