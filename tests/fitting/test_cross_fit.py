"""Folds that choose and all samples that train: losses of each held-out sample, and the head of all."""

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.tasks.classification.series import CHANNELS, CLASSES, waves
from tests.tiny import CONTEXT, tiny_backbone
from tracetune.backbones.loading import weights_digest
from tracetune.estimators.class_logits import class_logits
from tracetune.fitting.config import FitConfig
from tracetune.fitting.cross_fit import cross_fit
from tracetune.fitting.fit import compete
from tracetune.fitting.learning_rate import AUTO_RATES
from tracetune.fitting.methods import METHODS, Lora
from tracetune.fitting.shrinkage import BEYOND, FACTORS, KEPT_SHARE
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.heads.solvers.solved_classifier import fit_classifier_head
from tracetune.tasks.classification.model import Classification, ClassificationModel
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

HEAD = ClassificationHeadConfig(scales=(1.0,))
CONFIG = FitConfig(
    method=Lora(),
    head=HEAD,
    head_start="kept",
    training=TrainingConfig(max_steps=3, batch_size=16, evaluations=1, learning_rate=1e-2),
)


def fitted(config: FitConfig) -> tuple[Any, LabelledSeries, np.ndarray]:
    samples = LabelledSeries(*waves(36))
    parts = list(hold_out(samples, 2, 0.25, seed=0))
    with Run.at(None) as run:
        found = cross_fit(
            Classification(CLASSES, CHANNELS, CONTEXT),
            tiny_backbone(),
            samples,
            parts,
            lambda model, part: class_logits(model, part, device="cpu"),
            config,
            run,
        )
    return found, samples, np.concatenate([rows for _, rows in parts])


def test_a_head_that_wins_is_solved_on_all_samples() -> None:
    found, samples, rows = fitted(replace(CONFIG, guard_margin=1e9))
    assert found.record.winner == "head"
    model: Any = Classification(CLASSES, CHANNELS, CONTEXT).model(tiny_backbone(), HEAD).eval()
    with torch.no_grad():
        fit_classifier_head(model.head, [model.features(samples.__getitems__(list(range(36))))])
    np.testing.assert_allclose(
        class_logits(found.model, samples, device="cpu"), class_logits(model, samples, device="cpu"), atol=1e-4
    )
    truth = samples.labels.numpy()[rows]
    losses = -torch.from_numpy(found.outputs).log_softmax(-1).numpy()[np.arange(36), truth]
    head, lora = found.record.candidates
    assert abs(head["validation_loss"] - losses.mean()) < 1e-5
    assert not lora["better"]


def test_the_digest_of_the_backbone_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for module in ("frozen_task", "identity"):
        monkeypatch.setattr(
            f"tracetune.fitting.{module}.weights_digest", lambda part: taken.append(part) or weights_digest(part)
        )
    found, _, _ = fitted(replace(CONFIG, guard_margin=1e9))
    assert len(taken) == 1
    assert found.backbone_sha256 == weights_digest(tiny_backbone())


def test_a_method_that_wins_trains_on_all_samples_and_is_moved_back_as_the_folds_say() -> None:
    found, _, _ = fitted(replace(CONFIG, guard_margin=0.0, head_start="gradient", head_training=CONFIG.training))
    head, lora = found.record.candidates
    assert lora["better"] == (found.record.winner == "lora") == (lora["validation_loss"] < head["validation_loss"])
    assert found.record.winner == "lora"
    assert 0 < lora["factor"] <= KEPT_SHARE * BEYOND[-1]
    tried = found.record.validation["factors"]["lora"]
    assert {str(factor) for factor in FACTORS} <= set(tried)  # in every fold
    assert found.record.parameters["adapters"] > 0


def noted_encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the frozen backbone adds how many samples it encodes for a head."""
    encoded: list[int] = []
    inner = ClassificationModel.features
    monkeypatch.setattr(
        ClassificationModel, "features", lambda self, batch: encoded.append(len(batch["labels"])) or inner(self, batch)
    )
    return encoded


def test_every_sample_is_encoded_once_for_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = noted_encodings(monkeypatch)
    config = replace(CONFIG, method=METHODS["linear_probe"]())
    found, samples, _ = fitted(config)
    assert sum(encoded) == len(samples)
    apart, _, _ = fitted(replace(config, cache_bytes=0))  # no room: every fold computes them again
    assert sum(encoded) > 4 * len(samples)
    np.testing.assert_allclose(found.outputs, apart.outputs, atol=1e-5)
    assert found.record.candidates[0]["validation_loss"] == pytest.approx(apart.record.candidates[0]["validation_loss"])


def noted_seconds(monkeypatch: pytest.MonkeyPatch, name: str, modules: tuple[str, ...]) -> list[float]:
    """Return a list to which every training by the function ``name`` adds its seconds."""
    seconds: list[float] = []
    for module in modules:
        inner = getattr(importlib.import_module(f"tracetune.fitting.{module}"), name)

        def noted(*given: Any, inner: Any = inner, **options: Any) -> Any:
            found = inner(*given, **options)
            seconds.append((found[1] if isinstance(found, tuple) else found).seconds)
            return found

        monkeypatch.setattr(f"tracetune.fitting.{module}.{name}", noted)
    return seconds


def test_a_rate_is_chosen_over_all_folds_and_all_of_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = noted_seconds(monkeypatch, "train_head", ("fit", "cross_fit"))
    encoded = noted_encodings(monkeypatch)
    methods = noted_seconds(monkeypatch, "train_adapters", ("method_phase", "cross_fit"))
    training = replace(CONFIG.training, max_steps=8, learning_rate="auto")
    config = replace(CONFIG, guard_margin=0.0, head_start="gradient", head_training=CONFIG.training, training=training)
    found, _, _ = fitted(config)
    assert sum(encoded) == 36  # once for all rates and folds
    seconds, folds = found.record.seconds, 2
    tries = folds * len(AUTO_RATES)
    assert (len(heads), len(methods)) == (2 * folds + 1, tries + folds + (found.record.winner == "lora"))
    assert seconds["head"] > sum(heads[folds:])  # features that all folds share came before
    assert seconds["lora"] == pytest.approx(sum(methods[tries:]))
    assert seconds["learning_rates"] > sum(heads[:folds]) + sum(methods[:tries])
    *tried, whole = found.record.validation["learning_rates"]
    best = min(tried, key=lambda each: each["validation_loss"])["learning_rate"]
    assert [(each["learning_rate"], each["steps"], each["taken"]) for each in tried] == [
        (rate, 2, False) for rate in AUTO_RATES
    ]
    assert (whole["learning_rate"], whole["steps"], whole["taken"]) == (best, 8, True)
    assert found.record.config.training.learning_rate == "auto"
    alone, _, _ = fitted(replace(config, training=replace(training, learning_rate=best)))
    assert alone.record.candidates == found.record.candidates
    assert whole["validation_loss"] == found.record.candidates[-1]["validation_loss"]
    np.testing.assert_array_equal(alone.outputs, found.outputs)
    weights = alone.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in found.model.state_dict().items())


def test_random_numbers_of_the_folds_do_not_reach_the_last_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run draws fewer of them, and has to give the same."""
    config = replace(CONFIG, guard_margin=1e9, head_start="gradient", head_training=CONFIG.training)
    plain, samples, _ = fitted(config)

    def disturbed(*given: Any) -> Any:
        found = compete(*given)
        torch.rand(1)
        return found

    monkeypatch.setattr("tracetune.fitting.cross_fit.compete", disturbed)
    other, _, _ = fitted(config)
    logits = [class_logits(each.model, samples, device="cpu") for each in (plain, other)]
    np.testing.assert_array_equal(*logits)


def test_on_all_samples_a_method_takes_the_share_of_its_steps_that_was_best_on_the_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fold's best model may be an early one, and its factor that of an early one: later ones have gone further."""
    module = importlib.import_module("tracetune.fitting.cross_fit")
    train_adapters, lasts = module.train_adapters, []

    def noted(*arguments: Any) -> Any:
        tuned, trained = train_adapters(*arguments)
        lasts.append(max(entry["step"] for entry in trained.history))
        return tuned, trained

    monkeypatch.setattr(module, "train_adapters", noted)
    compete_on_folds = module._compete_on_folds

    def early(*arguments: Any) -> Any:
        held_out, heads, methods = compete_on_folds(*arguments)
        return (
            held_out,
            heads,
            [replace(each, best_share=share) for each, share in zip(methods, (0.5, 1.0), strict=True)],
        )

    monkeypatch.setattr(module, "_compete_on_folds", early)
    training = TrainingConfig(max_steps=8, batch_size=16, evaluations=2, learning_rate=1e-2)
    found, _, _ = fitted(
        replace(CONFIG, training=training, guard_margin=0.0, head_start="gradient", head_training=CONFIG.training)
    )
    assert found.record.winner == "lora"
    assert lasts == [6]  # three quarters of eight


def test_a_training_on_all_samples_that_failed_leaves_the_head(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = importlib.import_module("tracetune.fitting.cross_fit")
    train_adapters = module.train_adapters

    def diverged(*arguments: Any) -> Any:
        tuned, trained = train_adapters(*arguments)
        with torch.no_grad():
            tuned.get_base_model().head.modules_to_save["default"].output.weight.mul_(-20)
        return tuned, trained

    monkeypatch.setattr(module, "train_adapters", diverged)
    config = replace(CONFIG, guard_margin=0.0, head_start="gradient", head_training=CONFIG.training)
    found, samples, _ = fitted(config)
    assert found.record.winner == "head"
    assert [each["better"] for each in found.record.candidates] == [True, False]
    assert found.record.candidates[1]["validation_loss"] < found.record.candidates[0]["validation_loss"]
    assert "fits them worse than the head" in caplog.text
    losses = -torch.from_numpy(class_logits(found.model, samples, device="cpu")).log_softmax(-1).numpy()
    assert losses[np.arange(36), samples.labels.numpy()].mean() < np.log(CLASSES)
