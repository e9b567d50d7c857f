"""Selections without a Trainer: how the tests begin one, and train beside it."""

import json
from typing import Any

import torch

from tests.selection.toys import forecast_batches
from tracetune.selection.config import SelectionConfig
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.selection_run import SelectionRun
from tracetune.selection.rounds.validation_batches import ScoringBatches

STEPS = 20


def begin(gates: Gates, log: list[Any], past: Any = (), files: Any = None, **options: Any) -> SelectionRun:
    config = SelectionConfig(**{"cost_share": 1.0, "interval": 3, "final_step": 16, **options})
    return SelectionRun(
        config,
        gates,
        ScoringBatches(forecast_batches((8, 8), seed=3), None),
        total_steps=STEPS,
        samples_per_step=6,
        log=log.append,
        past=json.loads(json.dumps(past)),
        files=files,
    )


def train(gates: Gates, run: SelectionRun, steps: range) -> None:
    """Plain gradient descent on validation data, so that their loss falls; nothing to remember but the weights."""
    batch = forecast_batches((8, 8), seed=3)[0]
    for step in steps:
        gates.model.zero_grad()
        torch.manual_seed(step)  # of the dropout
        gates.model(**batch)["loss"].backward()
        with torch.no_grad():
            for weight in gates.model.parameters():
                if weight.grad is not None:
                    weight -= 0.05 * weight.grad
        run.after_step(step)
