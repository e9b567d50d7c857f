"""Which LoRA modules matter: gates, importance scores, Shapley values, schedule."""

from tracetune.selection.budget import Budget, ModuleBudget, ParameterBudget, TimeBudget
from tracetune.selection.gates import Gates
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.layers import lora_modules
from tracetune.selection.rounds import RoundRecord, selection_round
from tracetune.selection.schedule import Schedule, SelectionConfig, budget_at
from tracetune.selection.scores import SCORES, Score, ScoreValues, register_score
from tracetune.selection.shapley import ShapleyValues, exact_shapley, sampled_shapley, subset_loss
from tracetune.selection.step_time import StepTimeProfile, measure_step_time
from tracetune.selection.validation import classification_loss, mean_loss, model_loss

__all__ = [
    "SCORES",
    "Budget",
    "Gates",
    "Importance",
    "ModuleBudget",
    "ParameterBudget",
    "RoundRecord",
    "Schedule",
    "Score",
    "ScoreValues",
    "SelectionConfig",
    "ShapleyValues",
    "StepTimeProfile",
    "TimeBudget",
    "budget_at",
    "classification_loss",
    "exact_shapley",
    "lora_modules",
    "mean_loss",
    "measure_step_time",
    "model_loss",
    "register_score",
    "sampled_shapley",
    "score_modules",
    "selection_round",
    "subset_loss",
]
