"""The embedded windows of a normal part in a saved folder: read, left out, or not those of the model."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.estimators.anomaly.series import season
from tracetune import AnomalyDetector
from tracetune.estimators.anomaly import record
from tracetune.tasks.anomaly.scores.features import EmbeddedShape

TEST = season(300, seed=3)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of windows that are embedded from now on."""
    counts: list[int] = []
    embed = EmbeddedShape._embedded

    def counted(self: EmbeddedShape, windows: np.ndarray) -> object:
        counts.append(len(windows))
        return embed(self, windows)

    monkeypatch.setattr(EmbeddedShape, "_embedded", counted)
    return counts


@pytest.mark.parametrize("scorer", ["neighbours", "rank_average"])
def test_a_loaded_detector_does_not_embed_again(
    base: AnomalyDetector, tmp_path: Path, embedded: list[int], scorer: str
) -> None:
    detector = base.fit(season(900), scorer=scorer)
    detector.save_pretrained(tmp_path / "run")
    learning = sum(embedded)
    embedded.clear()
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    assert sum(embedded) <= 2 * 2 * 8 < learning / 10  # a few windows of each width, to compare with
    pd.testing.assert_frame_equal(loaded.detect(TEST), detector.detect(TEST), check_exact=True)


def test_a_folder_without_embeddings_is_loaded_too(
    base: AnomalyDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    detector = base.fit(season(900))
    monkeypatch.setattr(record, "_MOST_EMBEDDED", 0)
    with caplog.at_level(logging.WARNING):
        detector.save_pretrained(tmp_path / "run")
    assert "2 sets of embedded windows are not saved" in caplog.text
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.detect(TEST), detector.detect(TEST), check_exact=True)


@pytest.mark.parametrize("change", ["weights", "windows"])
def test_embeddings_that_the_model_does_not_give_are_computed_anew(
    base: AnomalyDetector, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    detector = base.fit(season(900))
    expected = detector.detect(TEST)
    assert detector.learned is not None
    for bank in detector.learned.items["0"].channels[0].members["shape"].banks:  # type: ignore[attr-defined]
        if change == "weights":
            bank.rows.mul_(-1)
        else:
            object.__setattr__(bank, "rows", bank.rows[:-1])
    detector.save_pretrained(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    assert caplog.text.count("computed anew") == 1
    pd.testing.assert_frame_equal(loaded.detect(TEST), expected, check_exact=True)
