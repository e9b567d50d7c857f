"""Metrics of anomaly scores against labels, with their definitions."""

from tracetune.evaluation.anomaly.report import anomaly_metrics

__all__ = ["anomaly_metrics"]
