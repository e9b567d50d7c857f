"""The worked example of docs/anomaly.md runs as it stands, and finds the El Niños."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tracetune import AnomalyDetector

PAGE = Path(__file__).parents[2] / "docs" / "anomaly.md"


def test_anomaly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert block is not None
    found: dict = {}
    exec(block[1], found)
    events, scores = found["events"], found["scores"]
    for strong in ("1983-01-01", "1997-12-01"):
        assert ((events.start <= pd.Timestamp(strong)) & (events.end >= pd.Timestamp(strong))).any()
    assert scores.alarm.mean() < 0.25
    assert len(scores) == len(found["test"])
    assert (tmp_path / "peru-events.png").stat().st_size > 1000
    loaded = AnomalyDetector.from_pretrained(tmp_path / "runs" / "peru-python")
    pd.testing.assert_frame_equal(loaded.events(found["test"]), events)
