"""A fit that holds on what comes next: tuning again stays near the first tuning, one odd item does not decide."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny import HORIZON, seasonal_frame
from tracetune import FitConfig, Forecaster, HeadConfig, TrainingConfig
from tracetune.fitting.interpolation import head_path
from tracetune.tasks.forecasting.model import Forecasting

TRAINING = TrainingConfig(num_train_epochs=2, batch_size=32, evaluations=3, learning_rate=5e-3)
CONFIG = FitConfig(
    method="linear_probe", head=HeadConfig("projection", beta=2), head_training=TRAINING, training=TRAINING
)
QUICK = replace(CONFIG, train_stride=5, validation_windows=60)


def test_tuning_again_goes_back_to_the_first_tuning(base: Forecaster) -> None:
    """Factor 0 of the head is what was tuned before, forecast for forecast; and so is the first candidate."""
    first = base.fit(seasonal_frame(), config=QUICK).merge()
    tuned = first.forecast_model
    assert tuned.head is not None
    model = Forecasting(HORIZON, tuned.context_length, tuned=tuned).model(tuned.backbone, CONFIG.head).eval()
    past = torch.randn(3, 1, tuned.context_length, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = tuned(past).forecast
        torch.testing.assert_close(model(past).forecast, before)
        for weight in model.head.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        path = head_path(model)
        assert path is not None
        assert not torch.allclose(model(past).forecast, before)
        path.go_to(0.0)
        torch.testing.assert_close(model(past).forecast, before)

    again = first.fit(seasonal_frame(seed=1), config=QUICK)
    zero_shot, head = again.trace["candidates"]
    assert zero_shot["name"] == "zero-shot"
    assert head["validation_loss"] <= zero_shot["validation_loss"] + 1e-6
    tried = again.trace["validation"]["factors"]["head"]
    assert tried["0.0"] == pytest.approx(zero_shot["validation_loss"], rel=1e-4)


def test_another_kind_of_head_starts_anew(base: Forecaster) -> None:
    tuned = base.fit(seasonal_frame(), config=QUICK).merge().forecast_model
    task = Forecasting(HORIZON, tuned.context_length, tuned=tuned)
    assert task.model(tuned.backbone, HeadConfig("projection", beta=4)).first_weights is None


def odd_item(length: int = 240) -> pd.DataFrame:
    """A counter that stands at 0 while others train, and jumps to 1,000 in the validation part."""
    frame = seasonal_frame(1, length).assign(item_id="odd")
    frame["target"] = np.where(np.arange(length) < int(0.85 * length), 0.0, 1000.0)
    return frame


def test_an_item_that_breaks_does_not_decide_for_the_others(base: Forecaster) -> None:
    """Twenty ordinary series are forecast about as well with it as without it."""
    ordinary = seasonal_frame(20, 160)
    ordinary["target"] /= ordinary.groupby("item_id")["target"].transform("std")
    train = ordinary.groupby("item_id").head(120)
    alone = base.fit(train, config=QUICK)
    beside = base.fit(pd.concat([train, odd_item(120)]), config=QUICK)
    errors = [
        each.evaluate(ordinary, test_length=2 * HORIZON, stride=HORIZON, recalibrate=0).overall.iloc[0]["mse"]
        for each in (base, alone, beside)
    ]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 1.15 * errors[1]
    assert max(each["validation_loss"] for each in beside.trace["candidates"]) < 10  # in deviations, the odd one too
