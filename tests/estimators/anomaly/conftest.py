"""Detectors that the tests start from."""

import pytest

from tests.estimators.anomaly.series import normal
from tests.tiny import save_tiny
from tracetune import AnomalyDetector


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> AnomalyDetector:
    return AnomalyDetector.from_pretrained(save_tiny(tmp_path_factory.mktemp("base")), device="cpu")


@pytest.fixture(scope="module")
def detector(base: AnomalyDetector) -> AnomalyDetector:
    return base.fit(normal(items=2), target=["a", "b"], scorer="windows")
