"""Anomaly scores of series: how unlike its normal part every step is; one file a scorer, a new one is listed here."""

from tracetune.tasks.anomaly.scores.embedding_scorer import Neighbours
from tracetune.tasks.anomaly.scores.forecast_scorer import Forecast
from tracetune.tasks.anomaly.scores.raw_window_scorer import Windows
from tracetune.tasks.anomaly.scores.reconstruction_scorer import Reconstruction
from tracetune.tasks.anomaly.scores.scorer import (
    SCORERS,
    ChannelScorer,
    NormalChannel,
    Scorer,
    register_scorer,
    scorer_named,
)

from tracetune.tasks.anomaly.scores.rank_scorer import RankAverage  # isort: skip - knows the others by name

__all__ = [
    "SCORERS",
    "ChannelScorer",
    "Forecast",
    "Neighbours",
    "NormalChannel",
    "RankAverage",
    "Reconstruction",
    "Scorer",
    "Windows",
    "register_scorer",
    "scorer_named",
]
