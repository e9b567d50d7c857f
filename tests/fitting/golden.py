"""What six methods make of a tiny model from two starts: renew with ``python -m tests.fitting.golden``.

With ``--digests`` nothing is written: SHA-256 of the trained weights are printed, which must stay the same on one
machine where a change is not meant to change results.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from torch import nn

from tests.tiny import CONTEXT, HORIZON, seasonal_frame, tiny_backbone
from tracetune import AdaLora, Dora, FitConfig, Full, HeadConfig, LinearProbe, Lora, SelectionConfig, Trace
from tracetune.adapters.adalora import AdaLoraOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.windows import Windows
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.methods import Method
from tracetune.tasks.forecasting.data import scale_panel
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

FILE = Path(__file__).with_name("golden.json")
SELECTION = SelectionConfig(
    keep=5, warmup_steps=2, final_step=8, interval=2, cost_share=1.0, scoring_batches=2, batch_size=16
)
METHODS: tuple[Method, ...] = (
    Trace(SELECTION),
    Lora(),
    Dora(),
    AdaLora(AdaLoraOptions(init_r=3, target_r=2, tfinal=4, tinit=1)),
    LinearProbe(),
    Full(),
)
CASES = {
    f"{method.name} from {start}": (method, start)
    for method in METHODS
    for start in ("head", "zero-shot" if method.adapts_backbone else "best")
}


def data() -> TrainingData:
    """Windows of two short series, independent of how the package splits tables."""
    values = scale_panel(panel_from_frame(seasonal_frame(length=200)), [(0, 150)] * 2).values
    return TrainingData(
        Windows(values, CONTEXT, HORIZON, [(0, 150)] * 2, stride=2, min_context=16),
        Windows(values, CONTEXT, HORIZON, [(150, 200)] * 2, stride=3),
    )


def fitted(method: Method, start: str) -> Fitted:
    """A fit of a few steps."""
    config = FitConfig(
        method=method,
        head=HeadConfig("projection", beta=2, tokens="auto"),
        start=start,
        head_training=TrainingConfig(max_steps=6, batch_size=16, evaluations=3),
        training=TrainingConfig(max_steps=12, batch_size=16, evaluations=4, learning_rate=5e-3),
        shrink="none",  # what training gives, whatever is made of it afterwards
        guard_margin=0.0,
    )
    with Run.at(None) as run:
        return fit(Forecasting(HORIZON, CONTEXT), tiny_backbone(), data(), config, run)


def record(result: Fitted) -> dict[str, Any]:
    """What is compared: choices exactly, losses to a tolerance."""
    found = result.record
    return {
        "winner": found.winner,
        "parameters": found.parameters,
        "kept": found.method_report["selection"]["kept"] if "selection" in found.method_report else None,
        "losses": {each["name"]: float(f"{each['validation_loss']:.6g}") for each in found.candidates},
        "history": {
            phase: [float(f"{entry['eval_loss']:.6g}") for entry in log if "eval_loss" in entry]
            for phase, log in found.history.items()
        },
    }


def digest(model: nn.Module) -> str:
    """SHA-256 of the trained weights."""
    found = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        if weight.requires_grad:
            found.update(name.encode())
            found.update(weight.detach().numpy().tobytes())
    return found.hexdigest()


def main() -> None:
    """Write all records, or print digests."""
    results = {case: fitted(*arguments) for case, arguments in CASES.items()}
    if "--digests" in sys.argv:
        for case, result in results.items():
            print(digest(result.model), case)
    else:
        FILE.write_text(json.dumps({case: record(result) for case, result in results.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
