"""Compare rules that choose a model by validation on the period after it, with and without shrinking.

Sets are cut three times in time (``benchmarks/next_period_data.py``). Each trial (``next_period_methods.py``) trains
once per cut and seed; then its losses on validation and test are measured on the way from its start (g = 0) to the
trained model (g = 1). Rules read the validation losses only, and are compared on test: ``next_period_report.py``.

    python -m benchmarks.next_period --cells FOLDER

A cell (set, horizon, cut, seed, steps, trial) is one file in ``--cells``, named by a digest of all that decides its
numbers; a run that was cut off goes on with the cells that are missing. Stages come one after the other, each through
all sets before the next cut or seed.
"""

import argparse
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.next_period_data import CHOICE, CONFIRMATION, CONTEXT, horizon_of, load_cut
from benchmarks.next_period_methods import BEST_STEP, LAST_STEP, RATES, TRIALS, Bench, Draw
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.files import write_json

SETS = ("ETTh1", "exchange_rate", "weather", "ETTh2", "national_illness", "ETTm1", "ETTm2")
PANELS = ("m3_monthly", "m4_weekly", "m3_yearly", "m3_quarterly", "m4_hourly", "m1_monthly")
CORE = (
    "default",
    "trace .25",
    "random .25",
    "lora",
    "lora, rank 1, half the blocks",
    "lora, q and v",
    "shuffled scores .25",
    "adalora",
)
HEADS = ("head, then trace .25", "head, then random .25", "head, then lora")
HEADS_OF_OTHER_SIZES = tuple(f"head, then {method} .{share}" for share in (1, 5) for method in ("trace", "random"))
FAR = ("default", "trace .25", "random .25", "lora, rank 1, half the blocks", "lora")
BUDGETS = ("trace .1", "random .1", "trace .5", "random .5", "lora, rank 1")
BEST = ("best, then trace .5", "best, then trace .5 at 2e-3", "best, then lora")
GRID = tuple(f"lora, rate {rate:g}" for rate in RATES)
GRID_AGAIN = ("exchange_rate", "weather")
GRID_FITTED = tuple(f"{trial}{BEST_STEP}" for trial in GRID)
RATES_FITTED = tuple(f"lora, rate {rate:g}{BEST_STEP}" for rate in (5e-4, 2e-3, 8e-3))
RATES_TRACE = tuple(f"trace .25, rate {rate:g}{BEST_STEP}" for rate in (5e-4, 2e-3, 8e-3))
RATES_LAST = tuple(f"lora, rate {rate:g}{LAST_STEP}" for rate in (5e-4, 2e-3, 8e-3))
TIES = ("trace .25, ties by cost", "shuffled scores .25, ties by cost")
VARIANTS = (
    "trace .25, ties by cost",
    "trace .25, final .3",
    "trace .25, final .3, ties by cost",
    "trace .2 of parameters, final .3, ties by cost",
)
SELECTION = ("trace .25", "default", "random .25", "lora, rank 1, half the blocks")
RULES = ("default, guard_margin 0", "default, shrink none, guard_margin 0")


@dataclass(frozen=True)
class Stage:
    """A part of the plan: every trial on every cut."""

    name: str
    trials: Sequence[str]
    sets: Sequence[str] = SETS
    horizon: int = 96
    cuts: Sequence[int] = (2, 1, 0)
    seeds: Sequence[int] = (0, 1)
    steps: Sequence[int] = (80,)


STAGES = (
    Stage("selection", SELECTION, seeds=(0,)),
    Stage("head", ("head",), seeds=(0,)),
    Stage("grid", GRID, ("ETTh1",), cuts=(2,), seeds=(0,), steps=(100, 200, 400)),
    Stage("grid, best step", GRID_FITTED, ("ETTh1",), cuts=(2,), seeds=(0,), steps=(100, 200, 400)),
    Stage("best", BEST[:1], CHOICE, seeds=(0,)),
    Stage("best, to confirm", BEST[:1], CONFIRMATION, seeds=(0,)),
    Stage("best, other settings", BEST[1:], CHOICE, seeds=(0,)),
    Stage("best, other settings, to confirm", BEST[1:], CONFIRMATION, seeds=(0,)),
    Stage("core", CORE, seeds=(0,)),
    Stage("grid, again", GRID, GRID_AGAIN, cuts=(2,), seeds=(0,), steps=(100, 200, 400)),
    Stage(
        "grid, best step, again",
        GRID_FITTED,
        ("exchange_rate", "weather"),
        cuts=(2,),
        seeds=(0,),
        steps=(100, 200, 400),
    ),
    Stage("rates, best step", RATES_FITTED, cuts=(2,), seeds=(0,), steps=(100,)),
    Stage("rates, trials", RATES_FITTED + RATES_LAST, CHOICE, cuts=(2,), seeds=(0,), steps=(25,)),
    Stage("rates, longer trials", RATES_FITTED + RATES_LAST, ("ETTh1",), cuts=(2,), seeds=(0,), steps=(50, 100)),
    Stage("rates, to confirm", RATES_FITTED, CONFIRMATION, cuts=(2,), seeds=(0,), steps=(25, 100)),
    Stage("rates, trace", RATES_TRACE, ("ETTh1", *CONFIRMATION, "ETTh2"), cuts=(2,), seeds=(0,), steps=(25, 100)),
    Stage("rates, steps", RATES_FITTED, ("weather",), cuts=(2,), seeds=(0,), steps=(50, 200, 400)),
    Stage("rates, again", RATES_FITTED, ("ETTh1", *CONFIRMATION, "ETTh2"), cuts=(2,), seeds=(1,), steps=(25, 100)),
    Stage("rates, fits", ("lora, auto",), ("ETTh1", "weather"), cuts=(2,), seeds=(0,), steps=(100,)),
    Stage("default, auto", ("default, auto",), seeds=(0,)),
    Stage("selection, again", SELECTION, seeds=(1,)),
    Stage("panels", ("default", "head", "lora"), PANELS, cuts=(2, 1), seeds=(0,)),
    Stage("heads", HEADS, seeds=(0,)),
    Stage("heads, other budgets", HEADS_OF_OTHER_SIZES, seeds=(0,)),
    Stage("core, again", CORE, seeds=(1,)),
    Stage("far", FAR, horizon=336, seeds=(0,)),
    Stage("variants", VARIANTS, CHOICE, cuts=(2,), seeds=(0,)),
    Stage("ties", TIES, seeds=(0,)),
    Stage("rules", RULES, seeds=(0,)),
    Stage("budgets", BUDGETS, seeds=(0,)),
    Stage("far, heads", HEADS, horizon=336, seeds=(0,)),
)


def planned(stages: Sequence[Stage], settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return all cells, those of all sets before the next cut or seed."""
    for stage in stages:
        for seed in stage.seeds:
            for cut in stage.cuts:
                for name in stage.sets:
                    for steps in stage.steps:
                        for trial in stage.trials:
                            yield {
                                "dataset": name,
                                "horizon": horizon_of(name, stage.horizon),
                                "cut": cut,
                                "seed": seed,
                                "method": trial,
                                "settings": {"context": CONTEXT, "steps": steps, **settings},
                            }


def digest(cell: dict[str, Any]) -> str:
    """Return the name of a cell's file."""
    return hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    """Compute the cells that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder of finished cells")
    parser.add_argument("--stages", nargs="+", choices=[stage.name for stage in STAGES], help="by default all")
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps-per-cut", type=int, default=3600)
    parser.add_argument("--validation-windows", type=int, default=120)
    parser.add_argument("--test-windows", type=int, default=120)
    options = parser.parse_args()
    backbone = load_backbone(options.model).eval().requires_grad_(False)
    settings = {name: getattr(options, name) for name in ("batch_size", "steps_per_cut")}
    settings |= {name: getattr(options, name) for name in ("validation_windows", "test_windows")}
    settings["weights"] = weights_digest(backbone)[:12]
    stages = [stage for stage in STAGES if options.stages is None or stage.name in options.stages]
    place: tuple[Any, ...] = ()
    for cell in planned(stages, settings):
        target = Path(options.cells) / f"{digest(cell)}.json"
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if place != (cell["dataset"], cell["horizon"], cell["cut"]):
            place = (cell["dataset"], cell["horizon"], cell["cut"])
            bench = Bench(load_cut(*place, options), backbone, options.batch_size)
        draw = Draw(cell["seed"], zlib.crc32(repr((place, cell["seed"])).encode()))
        found = bench.run(TRIALS[cell["method"]], draw, cell["settings"]["steps"])
        write_json(target, {**cell, **found})
        end = found["returned"]["test"] if "returned" in found else found["path"]["test"][-1]
        tests = [
            np.mean([x for row in losses for x in row if x is not None]) for losses in (found["zero_shot"]["test"], end)
        ]
        print(*place, cell["seed"], cell["method"], np.round(tests, 4), round(found["cpu_seconds"], 1), flush=True)


if __name__ == "__main__":
    main()
