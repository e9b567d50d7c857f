"""Detectors that the tests start from."""

import pytest

from tests.estimators.anomaly.series import normal
from tracetune import AnomalyDetector


@pytest.fixture(scope="module")
def base(base_folder: str) -> AnomalyDetector:
    return AnomalyDetector.from_pretrained(base_folder, device="cpu")


@pytest.fixture(scope="module")
def detector(base: AnomalyDetector) -> AnomalyDetector:
    return base.fit(normal(items=2), target=["a", "b"], scorer="windows")
