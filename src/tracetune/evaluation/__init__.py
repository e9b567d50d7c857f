"""Metrics, baselines and the statistics that compare them."""

from tracetune.evaluation.baselines import auto_ets, naive2, repeat_last, seasonal_naive
from tracetune.evaluation.cost import ParameterCounts, Stopwatch, count_flops, count_parameters, peak_memory_bytes
from tracetune.evaluation.dlinear import DLinear, DLinearConfig, fit_dlinear
from tracetune.evaluation.metrics import (
    POINTWISE,
    MetricAccumulator,
    coverage,
    mae,
    mase,
    mse,
    naive_scale,
    owa,
    quantile_loss,
    smape,
    weighted_quantile_loss,
)
from tracetune.evaluation.protocol import ProtocolFingerprint, library_versions
from tracetune.evaluation.statistics import (
    Interval,
    PairTest,
    Significance,
    average_ranks,
    critical_difference,
    diebold_mariano,
    holm,
    paired_bootstrap_interval,
    wilcoxon_holm,
)

__all__ = [
    "POINTWISE",
    "DLinear",
    "DLinearConfig",
    "Interval",
    "MetricAccumulator",
    "PairTest",
    "ParameterCounts",
    "ProtocolFingerprint",
    "Significance",
    "Stopwatch",
    "auto_ets",
    "average_ranks",
    "count_flops",
    "count_parameters",
    "coverage",
    "critical_difference",
    "diebold_mariano",
    "fit_dlinear",
    "holm",
    "library_versions",
    "mae",
    "mase",
    "mse",
    "naive2",
    "naive_scale",
    "owa",
    "paired_bootstrap_interval",
    "peak_memory_bytes",
    "quantile_loss",
    "repeat_last",
    "seasonal_naive",
    "smape",
    "weighted_quantile_loss",
    "wilcoxon_holm",
]
