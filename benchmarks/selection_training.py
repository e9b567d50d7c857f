"""What selecting modules does to a whole training: TRACE beside LoRA, AdaLoRA, random and magnitude at equal budgets.

Every method starts from the same head, after the first phase of a fit, and takes the same steps over the same windows
in the second, with the checkpoint that validation chooses.
The learning rate is chosen by validation, on the first seed, and kept for the others; then test is read, once.

    python -m benchmarks.selection_training --datasets ETTh1 --seeds 0 1 2 --keep 0.5 0.25
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from benchmarks import training_report
from benchmarks.common import (
    Case,
    HeadStart,
    Results,
    Row,
    fingerprint,
    head_start,
    load_case,
    test_errors,
    tuned_from,
)
from benchmarks.selection_scores import case_flags
from tracetune.adapters.options import AdaLoraOptions, LoraOptions
from tracetune.adapters.trained_head import trained_head
from tracetune.backbones.loading import load_backbone
from tracetune.data.windows import batches
from tracetune.evaluation.cost import count_parameters
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import AdaLora, Lora, Method, Trace
from tracetune.fitting.methods.method import Adapted
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.task import TaskModel, TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.measure import validation_loss

RANK = 2
HEAD_ONLY = "head only"
SCORE_OF = {"trace": "gated_dsic", "random": "random", "magnitude": "magnitude"}
SELECTING = (*SCORE_OF, "adalora")


@dataclass(frozen=True)
class Trained:
    """One training run, before test is read."""

    model: nn.Module
    validation_loss: float
    seconds: float
    selection_seconds: float


@dataclass(frozen=True)
class AdaLoraAtShare:
    """AdaLoRA with as many ranks as LoRA on a share ``keep`` of the modules; PEFT's target_r is a whole mean rank."""

    keep: float
    name: ClassVar[str] = AdaLora.name
    adapts_backbone: ClassVar[bool] = True

    def check(self, layers: Mapping[str, nn.Linear], steps: int) -> None:
        """Check what AdaLoRA checks."""
        _ADALORA.check(layers, steps)

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        """Add AdaLoRA, and change the budget of its allocator."""
        adapted = _ADALORA.adapt(model, data, training)
        allocator = adapted.model.get_submodule("base_model").rankallocator
        allocator.target_bgt = RANK * round(self.keep * allocator.init_bgt / RANK)
        return adapted


_ADALORA = AdaLora(AdaLoraOptions(init_r=RANK, target_r=RANK - 1), LoraOptions(r=RANK))


def method_of(name: str, keep: float, seed: int) -> Method:
    """Return a method at a budget."""
    if name == Lora.name:
        return Lora(LoraOptions(r=RANK))
    if name == AdaLora.name:
        return AdaLoraAtShare(keep)
    return Trace(SelectionConfig(keep=keep, score=SCORE_OF[name], seed=seed), LoraOptions(r=RANK))


def train(
    case: Case, start: HeadStart, method: str, keep: float, rate: float, seed: int, options: argparse.Namespace
) -> Trained:
    """Train adapters by one method, and the head, from the head start."""
    training = TrainingConfig(max_steps=options.steps, batch_size=options.batch_size, learning_rate=rate, seed=seed)
    model, trained = tuned_from(start, case, FitConfig(method=method_of(method, keep, seed), training=training))
    selection = sum(trained.report.seconds.values())
    return Trained(model, validation_loss(model, case.validation), trained.seconds - selection, selection)


def method_row(
    case: Case, start: HeadStart, method: str, keep: float, seed: int, rate: float | None, options: argparse.Namespace
) -> Row:
    """Return a method's row: learning rate chosen by validation unless given, and the test errors of that run."""
    rates = options.learning_rates if rate is None else [rate]
    runs = {candidate: train(case, start, method, keep, candidate, seed, options) for candidate in rates}
    best = min(runs, key=lambda candidate: runs[candidate].validation_loss)
    run = runs[best]
    return {
        "learning_rate": best,
        "search": {str(candidate): other.validation_loss for candidate, other in runs.items()},
        "validation": run.validation_loss,
        **parameters(run.model),
        "seconds": run.seconds,
        "selection_seconds": run.selection_seconds,
        **model_errors(case, run.model),
    }


def head_row(case: Case, start: HeadStart) -> Row:
    """Return the head start as it is."""
    return {
        "learning_rate": None,
        "validation": validation_loss(start.model, case.validation),
        "head": sum(parameter.numel() for parameter in start.model.get_submodule("head").parameters()),
        "adapters": 0,
        "seconds": start.seconds,
        "selection_seconds": 0.0,
        **model_errors(case, start.model),
    }


def parameters(model: Any) -> dict[str, int]:
    """Return parameters of head and adapters that are left after training."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or ".modules_to_save." in name)
    counts = count_parameters(model, trained_head(model))
    return {"head": counts.head, "adapters": counts.trainable - counts.head}


def model_errors(case: Case, model: nn.Module) -> dict[str, float]:
    """Return MSE and MAE over the test windows."""
    model.eval()
    return test_errors(
        lambda batch: model(past_values=batch["past_values"], input_mask=batch["input_mask"]).forecast,
        batches(case.test, 256),
    )


def planned(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield methods with the share of the modules that they keep."""
    yield HEAD_ONLY, 0.0
    yield "lora", 1.0
    for keep in options.keep:
        for method in SELECTING:
            yield method, keep


def run_case(name: str, backbone: Any, results: Results, options: argparse.Namespace) -> None:
    """Make every row of one data set that is missing, seed by seed."""
    stride = dict(pair.split("=") for pair in options.test_stride).get(name, 1)
    case = load_case(
        name, options.horizon, options.train_windows, options.validation_windows, int(stride), options.context
    )
    for seed in options.seeds:
        todo = [
            (method, keep)
            for method, keep in planned(options)
            if results.find(dataset=name, method=method, keep=keep, seed=seed) is None
        ]
        head_training = TrainingConfig(num_train_epochs=options.head_epochs, seed=seed)
        start = head_start(case, backbone, FitConfig(head_training=head_training)) if todo else None
        for method, keep in todo:
            assert start is not None
            began = time.perf_counter()
            if method == HEAD_ONLY:
                row = head_row(case, start)
            else:
                first = results.find(dataset=name, method=method, keep=keep, seed=options.seeds[0])
                row = method_row(case, start, method, keep, seed, first and first["learning_rate"], options)
            results.add(
                {
                    "dataset": name,
                    "method": method,
                    "keep": keep,
                    "seed": seed,
                    **row,
                    "row_seconds": time.perf_counter() - began,
                    "fingerprint": fingerprint(case, seed).to_dict(),
                }
            )


def parser() -> argparse.ArgumentParser:
    """Return flags; their defaults are the published run."""
    result = case_flags(__doc__, ["ETTh1"], [0, 1, 2], 8000, 1024)
    result.add_argument("--keep", nargs="+", type=float, default=[0.5, 0.25], help="shares of the modules")
    result.add_argument("--learning-rates", nargs="+", type=float, default=[5e-4, 2e-3, 8e-3])
    result.add_argument("--steps", type=int, default=300)
    result.add_argument("--batch-size", type=int, default=24)
    result.add_argument("--head-epochs", type=float, default=5)
    result.add_argument("--test-stride", nargs="*", default=[], help="as ETTm1=4: steps between test origins, else 1")
    result.add_argument("--output", default="docs/results/selection_training")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    options = parser().parse_args(arguments)
    backbone = load_backbone(options.model)
    results = Results(
        "selection_training", options, backbone, training_report.markdown,
        identity=("dataset", "method", "keep", "seed"), cases=("datasets", "seeds", "keep", "output"),
    )  # fmt: skip
    for name in options.datasets:
        run_case(name, backbone, results, options)
    results.write()


if __name__ == "__main__":
    main()
