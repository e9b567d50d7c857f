"""Arguments held to their annotations: in the helper, and in every estimator and every configuration."""

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import tracetune
from tracetune.base.argument_types import checked
from tracetune.base.errors import InputError
from tracetune.estimators.anomaly.thresholds import RollingQuantile
from tracetune.tasks.anomaly.scores import Neighbours


@checked
def given(
    count: int = 1,
    rate: float | None = None,
    way: int | Literal["auto"] = 1,
    strict: bool = False,
    text: str = "",
    names: tuple[str, ...] | None = None,
    place: str | Path = "",
) -> tuple[object, ...]:
    return count, rate, way, strict, text, names, place


def test_what_fits_is_passed_on_and_of_numpy_made_python() -> None:
    assert given() == (1, None, 1, False, "", None, "")
    found = given(np.int64(3), np.float32(0.5), "auto", strict=np.bool_(True), text="x", names=["a"], place=Path("y"))
    assert found == (3, 0.5, "auto", True, "x", ["a"], Path("y"))
    assert [type(each) for each in found[:5]] == [int, float, str, bool, str]
    assert given(rate=2)[1] == 2
    assert given(np.array(4))[0] == 4
    assert given(torch.tensor(4))[0] == 4
    with pytest.raises(TypeError, match=r"given\(\) got an unexpected keyword argument 'rat'"):
        given(rat=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": True}, "Expected count to be a whole number, found True"),
        ({"count": 2.0}, "Expected count to be a whole number, found 2.0"),
        ({"count": "2"}, "Expected count to be a whole number, found '2'"),
        ({"rate": np.bool_(False)}, "Expected rate to be a number or None, found False"),
        ({"way": True}, "Expected way to be a whole number or 'auto', found True"),
        ({"strict": 1}, "Expected strict to be true or false, found 1"),
        ({"strict": "no"}, "Expected strict to be true or false, found 'no'"),
        ({"text": 3}, "Expected text to be text, found 3"),
        ({"count": [1]}, r"Expected count to be a whole number, found \[1\]"),
        ({"names": "*.q"}, r"Expected names to be several or None, found '\*\.q'"),
        ({"place": 4}, "Expected place to be text or a Path, found 4"),
    ],
)
def test_what_is_none_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(**arguments)


@pytest.mark.parametrize(
    "made",
    [
        lambda: tracetune.TrainingConfig(max_steps=True),
        lambda: tracetune.TrainingConfig(learning_rate="1e-3x", batch_size="8"),
        lambda: tracetune.FitConfig(train_stride=True),
        lambda: tracetune.SelectionConfig(interval=False),
        lambda: tracetune.LoraOptions(r=True),
        lambda: tracetune.LoraOptions(r="4"),
        lambda: tracetune.HeadConfig("projection", beta=True),
        lambda: tracetune.Scoring(samples=True),
        lambda: RollingQuantile(True, 0.9),
        lambda: RollingQuantile(10, True),
        lambda: Neighbours(neighbours=True),
        lambda: tracetune.Lora({"r": 4}),
        lambda: tracetune.LoraOptions(target_modules="*.q"),
        lambda: tracetune.FitConfig(training={"batch_size": 8}),
        lambda: tracetune.FitConfig(method=tracetune.Lora),
    ],
)
def test_settings_are_held_to_their_types(made) -> None:
    with pytest.raises(InputError, match=r"Expected .* found (True|False|'8'|'4'|'\*\.q'|{|the class Lora)"):
        made()


@pytest.mark.parametrize(
    ("estimator", "method", "argument"),
    [
        ("AnomalyDetector", "fit", "contamination"),
        ("AnomalyDetector", "fit", "false_alarm_rate"),
        ("AnomalyDetector", "evaluate", "window"),
        ("Forecaster", "predict_df", "batch_size"),
        ("Forecaster", "evaluate", "season"),
        ("Forecaster", "from_pretrained", "prediction_length"),
        ("Forecaster", "fit", "config"),
        ("Classifier", "fit", "folds"),
        ("Classifier", "fit", "validation_share"),
        ("Classifier", "predict", "batch_size"),
        ("Imputer", "evaluate", "share"),
        ("TextClassifier", "predict", "batch_size"),
    ],
)
@pytest.mark.parametrize("value", [True, "3", [3]])
def test_methods_of_every_estimator_are_held_to_their_types(
    estimator: str, method: str, argument: str, value: object
) -> None:
    """Before anything else is looked at: there is no estimator, and there are no data."""
    owner = getattr(tracetune, estimator)
    given = ("tracetune/tiny",) if method == "from_pretrained" else (None, None)
    with pytest.raises(InputError, match=rf"Expected {argument} to be .*, found {re.escape(repr(value))}"):
        getattr(owner, method)(*given, **{argument: value})


@pytest.mark.parametrize("estimator", ["AnomalyDetector", "Classifier", "Forecaster", "Imputer"])
def test_devices_of_pytorch_are_devices(estimator: str) -> None:
    options = {"prediction_length": 4} if estimator == "Forecaster" else {}
    owner = getattr(tracetune, estimator)
    assert owner.from_pretrained("tracetune/tiny", device=torch.device("cpu"), **options).device.type == "cpu"
    with pytest.raises(InputError, match="Expected device to be text or a device, found None"):
        owner.from_pretrained("tracetune/tiny", device=None, **options)
