"""One round of selection: score, smooth, choose, open and close; and the record it leaves."""

from collections.abc import Iterable

import numpy as np

from tracetune.selection.budgets.budget import Budget
from tracetune.selection.budgets.step_time_profile import StepTimeProfile
from tracetune.selection.config import SelectionConfig
from tracetune.selection.evidence import Evidence
from tracetune.selection.gates import Gates
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.process_means import mean_over_processes
from tracetune.selection.rounds.round_record import RoundRecord
from tracetune.selection.scores.score import find_score
from tracetune.selection.validation import AnyBatch, LossFunction


def selection_round(
    gates: Gates,
    batches: Iterable[AnyBatch],
    loss_fn: LossFunction,
    config: SelectionConfig,
    budget: Budget,
    *,
    amount: int,
    final: int,
    step: int,
    previous: RoundRecord | None,
    overlap: float = 1.0,
    validation_loss: float | None = None,
) -> tuple[RoundRecord, Importance]:
    """Score all modules, smooth over rounds, open the best and close the rest.

    Where several processes train together, scores are averaged over them, so that all choose the same.

    Args:
        gates: gates of the model.
        batches: validation batches.
        loss_fn: from model and batch to losses [B], or to their mean.
        config: score and smoothing.
        budget: how to choose within an amount.
        amount: what may be open after this round.
        final: what may be open in the end; scores are read in that context.
        step: the present step; it also chooses the masks, so that a resumed run draws the same.
        previous: record of the round before, None in the first.
        overlap: share of the validation data that two rounds have in common.
        validation_loss: loss of the model as it is, for the record.
    """
    options = _options(config, config.context_share(budget.module_share(final)), step)
    importance = score_modules(gates.model, batches, loss_fn, config.score, gates=gates, **options)
    present = _evidence(importance)
    evidence = present if previous is None else previous.evidence.followed_by(present, config.ema, overlap)
    signed = find_score(config.score).signed
    worth = evidence.worth(config.ties) if signed else dict(evidence.scores)
    chosen = budget.choose(worth, amount)
    before = gates.open_names
    gates.set_open(chosen)
    record = RoundRecord(
        step=step,
        scores=dict(present.scores),
        standard_errors=dict(present.errors),
        smoothed=dict(evidence.scores),
        smoothed_errors=dict(evidence.errors),
        told_apart=evidence.significant_share() if signed else None,
        opened=[name for name in chosen if name not in before],
        closed=[name for name in before if name not in chosen],
        open=list(chosen),
        budget=amount,
        validation_loss=validation_loss,
    )
    return record, importance


def shared_profile(profile: StepTimeProfile) -> StepTimeProfile:
    """Return the mean of the profiles that the training processes have measured, so that all choose the same."""
    base = mean_over_processes(np.array(list(profile.base.values()))).tolist()
    cost = mean_over_processes(np.array(list(profile.cost.values()))).tolist()
    return StepTimeProfile(dict(zip(profile.base, base, strict=True)), dict(zip(profile.cost, cost, strict=True)))


def _options(config: SelectionConfig, keep: float, step: int) -> dict[str, float | str]:
    """Return options of the configured score, with ``keep`` for q."""
    options: dict[str, float | str] = {
        "keep": keep,
        "context": config.context,
        "masks": config.masks,
        "n_masks": config.n_masks,
        "seed": config.seed * 1_000_003 + step,
    }
    known = find_score(config.score).options
    return {name: value for name, value in options.items() if name in known}


def _evidence(importance: Importance) -> Evidence:
    """Return scores and errors of one round, the means over the training processes."""
    names = importance.names
    scores = mean_over_processes(importance.scores).tolist()
    errors: list[float | None] = [None] * len(names)
    if importance.standard_errors is not None:
        found = mean_over_processes(importance.standard_errors).tolist()
        errors = [error if np.isfinite(error) else None for error in found]
    return Evidence(dict(zip(names, scores, strict=True)), dict(zip(names, errors, strict=True)))
