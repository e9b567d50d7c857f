"""Anomaly scores of series: how unlike its normal part every step is; one file a scorer, a new one is listed here."""

from tracetune.tasks.anomaly_scores.embedding_scorer import Neighbours
from tracetune.tasks.anomaly_scores.forecast_scorer import Forecast
from tracetune.tasks.anomaly_scores.raw_window_scorer import Windows
from tracetune.tasks.anomaly_scores.reconstruction_scorer import Reconstruction
from tracetune.tasks.anomaly_scores.scorer import SCORERS, ChannelScorer, Scorer, register_scorer, scorer_named

from tracetune.tasks.anomaly_scores.rank_scorer import RankAverage  # isort: skip - knows the others by name

__all__ = [
    "SCORERS",
    "ChannelScorer",
    "Forecast",
    "Neighbours",
    "RankAverage",
    "Reconstruction",
    "Scorer",
    "Windows",
    "register_scorer",
    "scorer_named",
]
