"""From the settings of a command to a method: options follow its fields, so that a new method needs no entry."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tracetune.adapters.options import LoraOptions
from tracetune.base.config import attribute_texts, from_mapping
from tracetune.base.errors import InputError
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.text.fit import text_fit_config
from tracetune.fitting.config import FitConfig
from tracetune.fitting.learning_rate import default_rate
from tracetune.fitting.methods.method import METHODS, method_named
from tracetune.recipes.classification.settings import ClassifierTraining
from tracetune.recipes.classification.settings import FinetuneConfig as ClassificationConfig
from tracetune.recipes.fit_settings import fit_config
from tracetune.recipes.forecasting.settings import FinetuneConfig
from tracetune.recipes.settings.finetune import FinetuneSettings, TrainingChoice
from tracetune.recipes.text.settings import FinetuneConfig as TextConfig
from tracetune.recipes.text.settings import TextTraining
from tracetune.tasks.classification.model import Classification
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import Task
from tracetune.tasks.text import TextClassification


def config(**settings: Any) -> FinetuneConfig:
    return from_mapping(FinetuneConfig, {"dataset": "ETTh1", "output": "model", "prediction_length": 24, **settings})


def test_ranks_of_adalora_follow_r() -> None:
    found: Any = fit_config(config(method="adalora", r=8)).method
    assert (found.lora.r, found.adalora.init_r, found.adalora.target_r) == (8, 12, 8)


def test_options_that_a_method_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match=r"keep=0\.25 changes nothing with the method 'lora'"):
        fit_config(config(method="lora", keep=0.25))
    with pytest.raises(InputError, match="r=8 changes nothing with the method 'full'"):
        fit_config(config(method="full", r=8))


@dataclass(frozen=True)
class Noise:
    scale: float = 0.5


@dataclass(frozen=True)
class Noisy:
    noise: Noise = field(default_factory=Noise)
    lora: LoraOptions = field(default_factory=LoraOptions)
    name: ClassVar[str] = "noisy"
    adapts_backbone: ClassVar[bool] = True

    def check(self, layers: Any, steps: int) -> None:
        pass

    def adapt(self, model: Any, data: Any, training: Any) -> Any:
        raise NotImplementedError


def test_a_new_method_gets_the_settings_that_it_has_and_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "noisy", Noisy)
    assert fit_config(config(method="noisy", r=4)).method == Noisy(Noise(0.5), LoraOptions(r=4))


@pytest.mark.parametrize(
    ("training", "task"),
    [
        (TrainingChoice, Forecasting(8, 64)),
        (ClassifierTraining, Classification(2, 1, 64)),
        (TextTraining, TextClassification(2, 16)),
    ],
)
def test_the_rates_that_help_names_are_those_that_are_taken(training: type[Any], task: Task) -> None:
    assert training().learning_rate is None
    rates = [default_rate(method_named(name), task) for name in ("lora", "full")]
    adapters, full = (np.format_float_scientific(rate, trim="-", exp_digits=1) for rate in rates)
    text = attribute_texts(training)["learning_rate"]
    assert f"without it {adapters}, and {full} for the method full." in text


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (ClassificationConfig, classifier_config()),
        (TextConfig, text_fit_config()),
        (FinetuneConfig, FitConfig()),
    ],
)
def test_a_command_trains_as_a_call_does(command: type[FinetuneSettings], call: FitConfig, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("label\n", encoding="utf-8")
    options = {"data": str(table), "output": str(tmp_path / "run"), "model": "tracetune/tiny"}
    more = {"prediction_length": 24} if command is FinetuneConfig else {"label_column": "label"}
    found = fit_config(from_mapping(command, {**options, **more}))
    assert replace(found.training, epoch_windows="auto") == call.training  # of texts, "auto" is all of them
    assert (found.method, found.head_start, found.shrink, found.guard_margin) == (
        call.method,
        call.head_start,
        call.shrink,
        call.guard_margin,
    )
