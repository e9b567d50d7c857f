"""Modules of an anomaly detector to score for importance, and the windows that scores are measured on."""

from typing import TYPE_CHECKING, Any

from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.estimators.anomaly.fit import normal_windows
from tracetune.estimators.anomaly.frames import AnomalyLabels, normal_part, require_channels
from tracetune.estimators.scored_modules import ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig
from tracetune.tasks.anomaly import AnomalyDetection

if TYPE_CHECKING:
    from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector


def scored_detector(
    detector: "AnomalyDetector",
    data: Any,
    labels: AnomalyLabels = None,
    config: FitConfig | None = None,
    *,
    label_column: str | None = None,
    **reading: Any,
) -> ScoredModules:
    """Return the modules of a detector to score, by how well it rebuilds the last quarter of each series.

    Steps that are labelled as anomalies do not count.
    """
    config = lora_config() if config is None else config
    learned = detector.learned
    known = None if learned is None else learned.reading
    label_column = label_column or (LABEL_COLUMN if learned is None else learned.label_column)
    panel = normal_part(data, labels, label_column, known, **reading)
    if learned is not None:
        require_channels(panel, learned.channels)
    backbone = detector.anomaly_model.backbone
    context = None if detector.trace is None else detector.trace["context_length"]
    found, context = normal_windows(panel, backbone, config, context)
    task = AnomalyDetection(context, detector.base_name)
    return scored(detector, task, backbone, None if detector.trace is None else detector.model, found, config)
