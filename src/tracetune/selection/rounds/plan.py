"""The plan of the rounds of a run: when, on which batches, with which masks, at what cost."""

import logging
import math
from dataclasses import asdict, dataclass

import numpy as np

from tracetune.base.errors import Remark, argument, either
from tracetune.base.json_types import JsonObject
from tracetune.selection.budgets.step_time import profile_passes
from tracetune.selection.config import AUTO, SelectionConfig
from tracetune.selection.estimates.row_independence import INDEPENDENCE_PASSES, fitting_masks
from tracetune.selection.gates import Gates
from tracetune.selection.passes import FORWARD
from tracetune.selection.process_means import mean_over_processes
from tracetune.selection.rounds.cost import SelectionCost, SelectionPlan, affordable
from tracetune.selection.rounds.schedule import Schedule
from tracetune.selection.rounds.validation_batches import ScoringBatches
from tracetune.selection.scores.score import find_score
from tracetune.selection.validation import LossFunction, batch_size, on_device, undisturbed

logger = logging.getLogger(__name__)
MOST_FOR_EVIDENCE = 2  # times the training, for a choice that would be random with less


@dataclass(frozen=True)
class ScoringPlan:
    """Plan of the rounds of a run, made before the first one.

    Attributes:
        schedule: when rounds are.
        batches: validation batches that each round reads.
        masks: "per_sample", "per_batch", or as configured where the score has none.
        share: cost of the whole selection, as a share of the training's forward and backward passes.
    """

    schedule: Schedule
    batches: int
    masks: str
    share: float

    def to_json(self) -> JsonObject:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: JsonObject) -> "ScoringPlan":
        """Return the plan that `to_json` wrote."""
        return cls(**{**content, "schedule": Schedule(**content["schedule"])})


def plan_rounds(
    config: SelectionConfig,
    asked: Schedule,
    gates: Gates,
    batches: ScoringBatches,
    loss_fn: LossFunction,
    *,
    training: float,
) -> ScoringPlan:
    """Return as many rounds and batches as ``config.cost_share`` allows; log where they are fewer than asked for.

    Args:
        config: score and limit.
        asked: the rounds asked for.
        gates: gates of the model.
        batches: the validation batches asked for.
        loss_fn: from model and batch to losses [B], or to their mean.
        training: forward passes of single samples that the training takes; a backward pass counts as two.
    """
    with undisturbed(gates.model):
        sizes = [batch_size(batch) for batch in on_device(gates.model, batches)]
    masks = _masks(config, gates, batches, loss_fn)
    # all processes must plan alike
    mean_count, size, per_batch = mean_over_processes(
        np.array([len(sizes), np.mean(sizes), masks == "per_batch"], float)
    ).tolist()
    count, masks = math.ceil(mean_count), "per_batch" if per_batch else masks
    passes = training / size
    limit = config.cost_share * passes if config.cost_share < 1 else math.inf
    once = passes_for_masks(config)
    if config.budget_unit == "time":
        once += profile_passes(gates.parameter_counts(), math.ceil(size), gates.device)
    keep = config.context_share(asked.final / asked.full)
    cost = selection_cost(config, gates.M, masks, keep, once)
    plan = affordable(asked, count, cost, limit, config.least_evidence, MOST_FOR_EVIDENCE * passes)
    if (plan.schedule, plan.batches) != (asked, count) or plan.passes > limit:
        wanted = SelectionPlan(asked, count, cost.total(len(asked.rounds()), count))
        logger.log(*_note(wanted, plan, passes, config))
    return ScoringPlan(plan.schedule, plan.batches, masks, plan.passes / passes)


def selection_cost(config: SelectionConfig, modules: int, masks: str, keep: float, once: float = 0.0) -> SelectionCost:
    """Return the cost of the configured score, and of the validation losses that ``keep="auto"`` looks at.

    Args:
        config: score and its options.
        modules: M.
        masks: "per_sample" or "per_batch", for "gated_dsic".
        keep: q, for "gated_dsic".
        once: cost of what is done once.
    """
    beside = find_score(config.score).passes_per_round(modules, masks=masks, n_masks=config.n_masks)
    each = score_passes(config, modules, masks, keep)
    if config.keep != AUTO:
        return SelectionCost(once, each, 0.0, beside)
    return SelectionCost(once, each + FORWARD, 3 * FORWARD, beside)


def score_passes(config: SelectionConfig, modules: int, masks: str, keep: float) -> float:
    """Return forward passes over a batch that the configured score of M modules takes, with ``keep`` for q."""
    options = {"masks": masks, "n_masks": config.n_masks, "context": config.context, "keep": keep}
    return find_score(config.score).passes_per_batch(modules, **options)


def passes_for_masks(config: SelectionConfig) -> float:
    """Return the cost of finding the masks that fit, in forward passes over a batch."""
    return INDEPENDENCE_PASSES if config.score == "gated_dsic" and config.masks == "auto" else 0.0


def _masks(config: SelectionConfig, gates: Gates, batches: ScoringBatches, loss_fn: LossFunction) -> str:
    """Return the masks of every round; "auto" is decided before the first one, since the model stays what it is."""
    if not passes_for_masks(config):
        return config.masks
    with undisturbed(gates.model):
        gates.model.requires_grad_(False)
        return fitting_masks(gates, next(on_device(gates.model, batches)), loss_fn)


def _note(asked: SelectionPlan, plan: SelectionPlan, training: float, config: SelectionConfig) -> tuple[int, str]:
    """Return level and text of the log line about a plan that differs from the settings or costs more than allowed."""
    text = (
        f"Choosing modules takes {plan.passes / training:.0%} as much computation as the training itself: "
        f"{len(plan.schedule.rounds())} rounds that read {plan.batches} batch{'' if plan.batches == 1 else 'es'} of "
        "validation data each"
    )
    if (plan.schedule, plan.batches) != (asked.schedule, asked.batches):
        text += (
            f" ({len(asked.schedule.rounds())} rounds of {asked.batches} were asked for, and would take "
            f"{asked.passes / training:.0%})"
        )
    if plan.passes <= config.cost_share * training:
        return logging.INFO, Remark(f"{text}. The limit is {argument('cost_share', config.cost_share)}.")
    above = (
        f"{text}. That is more than {argument('cost_share', config.cost_share)}, because with less the choice would be"
    )
    evidence = either(f" (least_evidence={config.least_evidence} batches)", "")
    if plan.reads < min(config.least_evidence, asked.reads):
        return logging.WARNING, Remark(
            f"{above} random. It may still be close to random: enough evidence{evidence} would take more than "
            f"{MOST_FOR_EVIDENCE} times the training, the most that is spent on it. Longer training leaves room for it."
        )
    return logging.WARNING, Remark(f"{above} random{evidence}. Longer training makes it a smaller part.")
