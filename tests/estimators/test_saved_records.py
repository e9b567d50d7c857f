"""What trace.json must say for a model to come back: values that no fit writes are refused, not used."""

from typing import Any

import pytest

from tracetune.base.errors import InputError
from tracetune.estimators.anomaly.record import SavedDetector
from tracetune.estimators.classification.record import ClassifierRecord
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.estimators.text.record import TextClassifierRecord

QUANTILES = {"levels": [0.1, 0.9], "values": [[-1.0, 1.0]]}
BY_DISTANCE = {"distances": [1.0], "longest": 9, **QUANTILES}
INTERVALS = {"inside": BY_DISTANCE, "ends": BY_DISTANCE, "unobserved": QUANTILES}
IMPUTER = {
    "channels": ["a", "b"],
    "context_length": 64,
    "season": 7,
    "related": [[1], [0]],
    "head": None,
    "intervals": INTERVALS,
    "changes": [0.5, 0],
    "rule": "linear",
    "scales": {"x": {"mean": [0, 1], "scale": [1, 2]}},
    "reading": {},
}
CLASSIFIER = {
    "classes": ["up", "down"],
    "channels": 1,
    "context_length": 64,
    "head": {},
    "temperature": 0.7,
    "class_weights": [1, 1],
    "columns": {},
}
TEXTS = {
    "class_weights": [1, 1],
    "classes": ["good", "bad"],
    "max_length": 32,
    "longest": 9,
    "pairs": False,
    "text_columns": ["text"],
    "label_column": "label",
    "head": {},
    "layers": None,
}
DETECTOR = {
    "items": [{"item_id": "0", "key": []}],
    "channels": ["a"],
    "scorer": {"name": "windows", "options": {}},
    "contamination": 0,
    "false_alarm_rate": 0.001,
    "threshold": 1.5,
    "table_threshold": 1.5,
    "freq": None,
    "dated": False,
    "reading": {},
    "remarks": [],
    "context_length": 64,
    "head": None,
    "calibration": {"value": 1.5, "rows": 900, "events": 7, "share": 0.02},
    "label_column": "label",
    "labelled": False,
}
RECORDS: list[tuple[Any, dict[str, Any]]] = [
    (ImputerRecord, IMPUTER),
    (ClassifierRecord, CLASSIFIER),
    (TextClassifierRecord, TEXTS),
    (SavedDetector, DETECTOR),
]


@pytest.mark.parametrize(("record", "content"), RECORDS)
def test_what_a_fit_writes_is_read(record: Any, content: dict[str, Any]) -> None:
    assert record.from_json(content, "trace.json")


@pytest.mark.parametrize(
    ("record", "content", "change"),
    [
        (ImputerRecord, IMPUTER, {"context_length": 0}),
        (ImputerRecord, IMPUTER, {"season": -1}),
        (ImputerRecord, IMPUTER, {"channels": []}),
        (ImputerRecord, IMPUTER, {"channels": ["a", "a"]}),
        (ImputerRecord, IMPUTER, {"related": [[1]]}),
        (ImputerRecord, IMPUTER, {"related": [[1], [2]]}),
        (ImputerRecord, IMPUTER, {"related": [[1], []]}),
        (ImputerRecord, IMPUTER, {"rule": "cubic"}),
        (ImputerRecord, IMPUTER, {"scales": {"x": {"mean": [0], "scale": [0]}}}),
        (ImputerRecord, IMPUTER, {"changes": []}),
        (ImputerRecord, IMPUTER, {"changes": [0.5]}),
        (ImputerRecord, IMPUTER, {"changes": [0.5, -1]}),
        (ImputerRecord, IMPUTER, {"scales": {"x": {"mean": [0], "scale": [1, 1]}}}),
        (ImputerRecord, IMPUTER, {"intervals": None}),
        (ImputerRecord, IMPUTER, {"intervals": {**QUANTILES}}),
        (ImputerRecord, IMPUTER, {"intervals": {**INTERVALS, "ends": {**BY_DISTANCE, "distances": []}}}),
        (ClassifierRecord, CLASSIFIER, {"classes": ["up"], "class_weights": [1]}),
        (ClassifierRecord, CLASSIFIER, {"classes": ["up", "up"]}),
        (ClassifierRecord, CLASSIFIER, {"channels": 0}),
        (ClassifierRecord, CLASSIFIER, {"temperature": 0}),
        (ClassifierRecord, CLASSIFIER, {"temperature": -0.5}),
        (ClassifierRecord, CLASSIFIER, {"class_weights": [1]}),
        (ClassifierRecord, CLASSIFIER, {"class_weights": [1, 0]}),
        (TextClassifierRecord, TEXTS, {"classes": []}),
        (TextClassifierRecord, TEXTS, {"max_length": 0}),
        (TextClassifierRecord, TEXTS, {"longest": 0}),
        (TextClassifierRecord, TEXTS, {"class_weights": [1, 0]}),
        (TextClassifierRecord, TEXTS, {"text_columns": ["a", "b"]}),
        (SavedDetector, DETECTOR, {"items": []}),
        (SavedDetector, DETECTOR, {"channels": []}),
        (SavedDetector, DETECTOR, {"contamination": 0.5}),
        (SavedDetector, DETECTOR, {"false_alarm_rate": 0}),
        (SavedDetector, DETECTOR, {"context_length": 0}),
        (SavedDetector, DETECTOR, {"scorer": {"name": "window", "options": {}}}),
    ],
)
def test_what_no_fit_writes_is_refused(record: Any, content: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"trace\.json"):
        record.from_json({**content, **change}, "trace.json")
