"""Importance scores of LoRA modules, one a file, and their registry."""

from tracetune.selection.scores import (
    adalora,
    all_open_gradient,
    diagonal,
    gated_dsic,
    gradient,
    kappa,
    leave_one_out,
    magnitude,
    random,
    shapley,
)
from tracetune.selection.scores.score import SCORES, Score, ScoreValues, find_score, register_score

__all__ = [
    "SCORES",
    "Score",
    "ScoreValues",
    "adalora",
    "all_open_gradient",
    "diagonal",
    "find_score",
    "gated_dsic",
    "gradient",
    "kappa",
    "leave_one_out",
    "magnitude",
    "random",
    "register_score",
    "shapley",
]
