"""Fine-tuning of a detector on its normal part: methods, losses, and what is kept."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.estimators.anomaly.series import season
from tracetune import AnomalyDetector, FitConfig, InputError, Trace, TrainingConfig
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.anomaly.scores.embedding_scorer import Neighbours
from tracetune.tasks.anomaly.scores.raw_window_scorer import Windows


@pytest.mark.parametrize("method", ["trace", "linear_probe", "full"])
def test_fine_tuning_on_the_normal_part(base: AnomalyDetector, method: str, tmp_path: Path) -> None:
    selection = SelectionConfig(
        keep=4, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
    )
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, learning_rate=2e-3)
    config = FitConfig(
        method=Trace(selection) if method == "trace" else method,
        head_training=training,
        training=training,
        shrink="together" if method == "trace" else "none",  # each factor takes all planted anomalies once more
        guard_margin=0.0,
    )
    weights = [parameter.clone() for parameter in base.model.parameters()]
    tuned = base.fit(season(900), config, scorer="reconstruction")
    assert all((one == two).all() for one, two in zip(weights, base.model.parameters(), strict=True))
    names = [each["name"] for each in tuned.trace["candidates"]]
    assert names == ["zero-shot", "head", method][: 2 if method == "linear_probe" else 3]
    losses = {each["name"]: each["validation_loss"] for each in tuned.trace["candidates"]}
    assert losses[tuned.trace["winner"]] <= losses["zero-shot"]
    assert tuned.history
    tuned.save_pretrained(tmp_path / "run")
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.detect(season(200, 1)), tuned.detect(season(200, 1)))


def test_fine_tuning_by_a_metric(base: AnomalyDetector, tmp_path: Path) -> None:
    selection = SelectionConfig(
        keep=4, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
    )
    training = TrainingConfig(max_steps=6, batch_size=8, evaluations=2, learning_rate=2e-3)
    config = FitConfig(method=Trace(selection), training=training, shrink="none", guard_margin=0.0)
    tuned = base.fit(season(900), config, loss="metric", scorer=Neighbours((40,)))
    assert [each["name"] for each in tuned.trace["candidates"]] == ["zero-shot", "trace"]
    assert tuned.trace["loss"] == "metric" and tuned.trace["compared_by"] == "planted"
    assert tuned.trace["planted_anomalies"] == 16
    losses = [each["validation_loss"] for each in tuned.trace["candidates"]]
    assert min(losses) >= 0 and max(losses) <= 1
    logged = [each["eval_loss"] for each in tuned.history["trace"] if "eval_loss" in each]
    assert logged and min(logged) < np.log(6)  # of embeddings that tell no window from another, see the loss
    tuned.save_pretrained(tmp_path / "run")
    assert "1 - VUS-PR of 16 planted anomalies" in (tmp_path / "run" / "README.md").read_text()
    loaded = AnomalyDetector.from_pretrained(tmp_path / "run", device="cpu")
    pd.testing.assert_frame_equal(loaded.detect(season(200, 1)), tuned.detect(season(200, 1)))
    views = {
        loss: loaded.scored_modules(season(900), loss=loss).data.validation.__getitems__([0]).keys()
        for loss in (None, "metric", "reconstruction")
    }
    assert views[None] == views["metric"] == {"views", "pull"} and "patch_mask" in views["reconstruction"]
    assert "patch_mask" in base.scored_modules(season(900)).data.validation.__getitems__([0])


def test_training_that_cannot_help_is_not_kept(base: AnomalyDetector) -> None:
    """Raw windows are compared without the model, so that the one that was trained finds no more."""
    training = TrainingConfig(max_steps=4, batch_size=8, evaluations=1, learning_rate=1e-2)
    config = FitConfig(method="lora", training=training, head_training=training, shrink="none")
    tuned = base.fit(season(600), config, scorer=Windows((40,)))
    assert tuned.trace["winner"] == "zero-shot"
    losses = {each["validation_loss"] for each in tuned.trace["candidates"]}
    assert len(losses) == 1


def test_a_part_without_room_for_planted_anomalies_is_compared_by_the_loss(
    base: AnomalyDetector, caplog: pytest.LogCaptureFixture
) -> None:
    training = TrainingConfig(max_steps=2, batch_size=8, evaluations=1)
    config = FitConfig(method="lora", training=training, head_training=training)
    tuned = base.fit(season(100), config, scorer=Windows((50,)))
    assert tuned.trace["compared_by"] == "loss" and "whether fine-tuning helps to find any is not known" in caplog.text
    with pytest.raises(InputError, match="two windows of 60"):
        base.fit(season(100), config, scorer=Windows((60,)))
