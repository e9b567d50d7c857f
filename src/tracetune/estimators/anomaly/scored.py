"""Modules of an anomaly detector to score for importance, and the windows that scores are measured on."""

from typing import Any

from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.estimators.anomaly.detector_parts import DetectorParts
from tracetune.estimators.anomaly.fit import config_of_loss, normal_samples
from tracetune.estimators.anomaly.frames import AnomalyLabels, normal_part, require_channels
from tracetune.estimators.scored_modules import ScoredModules, lora_config, scored
from tracetune.fitting.config import FitConfig
from tracetune.tasks.anomaly.model import RECONSTRUCTION, AnomalyDetection


def scored_detector(
    detector: DetectorParts,
    data: Any,
    labels: AnomalyLabels = None,
    config: FitConfig | None = None,
    *,
    loss: str | None = None,
    label_column: str | None = None,
    **reading: Any,
) -> ScoredModules:
    """Return the modules of a detector to score, by its loss on the last quarter of each series.

    Steps that are labelled as anomalies do not count. The loss is that which a detector was fine-tuned by, where no
    other is given; a foundation model's is that of rebuilding.
    """
    config = lora_config() if config is None else config
    learned = detector.learned
    known = None if learned is None else learned.reading
    label_column = label_column or (LABEL_COLUMN if learned is None else learned.label_column)
    panel, _ = normal_part(data, labels, label_column, known, **reading)
    if learned is not None:
        require_channels(panel, learned.channels)
    backbone = detector.anomaly_model.backbone
    trace = detector.trace or {}
    loss = loss or trace.get("loss", RECONSTRUCTION)
    scorer = None if learned is None else learned.scorer
    config = config_of_loss(config, loss)
    part = normal_samples(panel, backbone, config, loss, scorer, trace.get("context_length"))
    task = AnomalyDetection(part.context_length, detector.base_name, loss)
    return scored(detector, task, backbone, None if detector.trace is None else detector.model, part.data, config)
