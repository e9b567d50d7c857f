"""Writes the card of the embedded model from what is measured: its weights, its recipes, their logs, zero-shot scores.

A model that was pretrained in several cycles, each going on from the one before, has a recipe and a log of each.

    python -m benchmarks.model_card --recipes configs/tiny.yaml configs/tiny_continued.yaml configs/tiny_short.yaml \\
        --logs runs/tiny/log.json runs/tiny_continued/log.json runs/tiny_short/log.json
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.zero_shot import markdown as score_tables
from tracetune.backbones.loading import load_backbone, locate_weights, weights_digest
from tracetune.base.config import from_mapping, read_yaml
from tracetune.base.errors import InputError
from tracetune.base.files import read_json, staged_file
from tracetune.data.synthetic.corpus import DEFAULT_MIX
from tracetune.data.synthetic.samples import phenomenon
from tracetune.recipes.settings.pretrain import PretrainConfig
from tracetune.report.tables import markdown_table
from tracetune.tasks.reconstruction import MaskingConfig

MODEL = "tracetune/tiny"

_TEMPLATE = """---
license: apache-2.0
library_name: tracetune
tags:
- time-series
- foundation-model
- synthetic-data
---

# {model}

A small encoder of time series in MOMENT's architecture and file layout, pretrained on synthetic series alone. It is
the default model of tracetune, there so that a fine-tuning runs without a download, and is meant to be fine-tuned.

```python
from tracetune import Forecaster

forecaster = Forecaster.from_pretrained("{model}", prediction_length=96)
```

## Architecture

{architecture}

## Data

No real series. {windows:,} windows of {context} steps, each seen once, from {generators} generators in these shares,
12 % of them as averages of longer series, a fifth mixed with two others (TSMixup), then changed by random transforms
(trends, noise, events, limits, rounding, hanging sensors, uneven time):

{mix}

So no public benchmark can have leaked into the weights.

## Training

Masked reconstruction: {random:.0%} of the windows lose {hidden:.0%} of their patches at random, the others a suffix of
up to {suffix:.0%}, which is what makes the model forecast without a head. Huber loss (delta {delta}) on values
normalised by the visible part, AdamW with a one-cycle schedule. Of short series, what lies before a random step is
unobserved. {cycles}

{cycle_table}

Each cycle keeps the weights with the lowest loss on 2,048 synthetic validation windows of its own seed, so losses
compare within a cycle.

![Learning curves, one panel a cycle](learning_curves.png)

Again, to the same corpus (floating-point results differ between machines):

```bash
{commands}
```

## Scores without any training

{scores}

Written by `{command}` at commit {commit}.

## Limits

- Channels are independent: nothing is learnt from one channel about another.
- Contexts of up to {context} steps in patches of {patch}; longer ones are cut, shorter ones padded. A horizon beyond
  half of the context is forecast in parts.
- As a zero-shot forecaster it has no calibrated uncertainty, and on strongly seasonal series the seasonal naive
  forecast can be better (see the scores): fine-tune it, and compare.
- The series it knows are those of its generators. What they lack, such as calendar events or dependence on other
  variables, it has never seen.

## Licence and identity

Apache-2.0, weights and code. SHA-256 of `model.safetensors`: `{file_sha256}`. SHA-256 over the parameters, as results
name it: `{weights_sha256}`.
"""


Log = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Cycle:
    """One pretraining run.

    Attributes:
        recipe: path of its configuration file.
        config: what that file says.
        log: the log of the run.
    """

    recipe: str
    config: PretrainConfig
    log: Log


def model_card(cycles: Sequence[Cycle], scores: Mapping[str, Any], folder: Path) -> str:
    """Return the card.

    Args:
        cycles: how the weights were pretrained, in order.
        scores: content of the JSON that ``benchmarks.zero_shot`` wrote for these weights.
        folder: where config.json and model.safetensors are.

    Raises:
        InputError: the scores are of other weights, or a log is of a run that did not end.
    """
    backbone = load_backbone(folder)
    digest = weights_digest(backbone)
    if scores["weights_sha256"] != digest:
        raise InputError(
            f"Expected scores of the weights {digest[:12]}, found those of {scores['weights_sha256'][:12]}. "
            "Run python -m benchmarks.zero_shot first."
        )
    first = cycles[0].config
    masking = MaskingConfig(**first.masking)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return _TEMPLATE.format(
        model=MODEL, windows=sum(cycle.config.windows for cycle in cycles), context=backbone.context_length,
        generators=len(DEFAULT_MIX), architecture=markdown_table(_architecture(first, parameters)),
        mix=markdown_table(_mix()), hidden=masking.random_ratio, random=masking.random_share,
        suffix=masking.longest_suffix, delta=first.huber_delta,
        cycles="One cycle:" if len(cycles) == 1 else f"{len(cycles)} cycles, each from the weights of the one before:",
        cycle_table=markdown_table([_cycle(number, cycle) for number, cycle in enumerate(cycles, start=1)]),
        commands="\n".join(f"tracetune pretrain --config {cycle.recipe}" for cycle in cycles),
        scores=score_tables(scores["rows"]).replace("## ", "### "),
        command=scores["command"], commit=scores["commit"], patch=backbone.patch_length,
        file_sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(), weights_sha256=digest,
    )  # fmt: skip


def _losses(log: Log) -> list[Mapping[str, Any]]:
    """Return entries with a validation loss, of a run that ended."""
    losses = [entry for entry in log if "eval_loss" in entry]
    if not losses or "train_runtime" not in log[-1]:
        raise InputError("Expected the log of a finished pretraining run, found one without its end.")
    return losses


def _cycle(number: int, cycle: Cycle) -> dict[str, Any]:
    """Return one line of the table of cycles."""
    best = min(_losses(cycle.log), key=lambda entry: entry["eval_loss"])
    return {
        "cycle": number,
        "windows": cycle.config.windows,
        "peak learning rate": cycle.config.learning_rate,
        "windows a step": cycle.config.batch_size,
        "short series": MaskingConfig(**cycle.config.masking).short_share,
        "seed": cycle.config.seed,
        "first validation loss": _losses(cycle.log)[0]["eval_loss"],
        "best": best["eval_loss"],
        "at step": best["step"],
        "of": cycle.log[-1]["step"],
    }


def plot_cycles(path: Path, cycles: Sequence[Cycle]) -> None:
    """Draw training and validation losses against windows seen, one panel a cycle."""
    figure = Figure(figsize=(2.4 + 2.6 * len(cycles), 3.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    seen = 0
    for number, (cycle, axes) in enumerate(zip(cycles, figure.subplots(1, len(cycles), squeeze=False)[0], strict=True)):
        for key, label in (("loss", "training"), ("eval_loss", "validation")):
            entries = [entry for entry in cycle.log if key in entry]
            windows = [(seen + entry["step"] * cycle.config.batch_size) / 1e6 for entry in entries]
            axes.plot(windows, [entry[key] for entry in entries], linewidth=1.4, label=label)
        seen += cycle.config.windows
        axes.set(title=f"cycle {number + 1}", xlabel="million windows seen")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("loss")
    figure.axes[0].legend(frameon=False, fontsize=9)
    with staged_file(path) as temporary:
        figure.savefig(temporary)


def _architecture(config: PretrainConfig, parameters: int) -> list[dict[str, Any]]:
    return [
        {
            "parameters": parameters,
            "blocks": config.layers,
            "width": config.width,
            "attention heads": config.heads,
            "feed-forward (gated GELU)": config.feed_forward,
            "patch": config.patch_length,
            "context": config.context_length,
        }
    ]


def _mix() -> list[dict[str, Any]]:
    return [
        {"generator": name.replace("_", " "), "share": f"{share:.1%}", "stands for": phenomenon(name)}
        for name, share in DEFAULT_MIX.items()
    ]


def main() -> None:
    """Write README.md and learning_curves.png beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", required=True, help="configuration of each cycle")
    parser.add_argument("--logs", nargs="+", required=True, help="log.json of each cycle")
    parser.add_argument("--scores", default="docs/results/zero_shot.json")
    parser.add_argument("--folder", default=str(locate_weights(MODEL)), help="where the weights are")
    arguments = parser.parse_args()
    folder = Path(arguments.folder)
    cycles = [
        Cycle(recipe, from_mapping(PretrainConfig, read_yaml(recipe)), read_json(log))
        for recipe, log in zip(arguments.recipes, arguments.logs, strict=True)
    ]
    card = model_card(cycles, read_json(arguments.scores), folder)
    plot_cycles(folder / "learning_curves.png", cycles)
    with staged_file(folder / "README.md") as temporary:
        temporary.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
