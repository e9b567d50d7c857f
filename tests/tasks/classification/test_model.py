"""Classification: losses, solved heads, resampling, and the same fit as forecasting, which knows neither."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.tasks.classification.series import CHANNELS, CLASSES, waves
from tests.tiny import CONTEXT, tiny_backbone
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.base.errors import InputError
from tracetune.data.batch_source import batch_loader
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods import METHODS, Lora, Trace
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.selection.config import SelectionConfig
from tracetune.selection.estimates.row_independence import rows_independent
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.validation_batches import ScoringBatches
from tracetune.selection.validation import model_loss
from tracetune.tasks.classification.model import Classification
from tracetune.tasks.labelled_series import LabelledSeries, hold_out
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.measure import sample_losses
from tracetune.training.run import Run


def tiny_classifier() -> Any:
    torch.manual_seed(1)
    return Classification(CLASSES, CHANNELS, CONTEXT).model(tiny_backbone(), ClassificationHeadConfig()).eval()


def test_losses_are_cross_entropies_of_the_logits() -> None:
    values, labels = map(torch.from_numpy, waves(6))
    output = tiny_classifier()(values, labels)
    assert output.logits.shape == (6, CLASSES)
    expected = -output.logits.log_softmax(-1)[torch.arange(6), labels]
    torch.testing.assert_close(output.sample_losses, expected)
    torch.testing.assert_close(output.loss, expected.mean())


def test_level_and_deviation_reach_the_head() -> None:
    """A backbone sees neither: two series that differ in them alone would be one."""
    model, (values, _) = tiny_classifier(), waves(1)
    one = torch.from_numpy(values)
    with torch.no_grad():
        assert not torch.allclose(model(one).logits, model(5 * one).logits, atol=1e-4)
        assert not torch.allclose(model(one).logits, model(one + 3).logits, atol=1e-4)


def test_samples_keep_to_themselves_at_every_scale_so_that_each_has_gates_of_its_own() -> None:
    model = add_lora(tiny_classifier(), LoraOptions()).eval()
    assert model.get_base_model().scales.patches == (4, 8, 24)  # the last one in several windows
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    values, labels = map(torch.from_numpy, waves(16))
    assert rows_independent(Gates(model), {"values": values, "labels": labels}, model_loss)


SELECTION = SelectionConfig(
    keep=5, warmup_steps=1, final_step=4, interval=1, scoring_batches=1, batch_size=16, cost_share=1.0
)


def parts(samples: LabelledSeries) -> TrainingData:
    train, held_out = next(hold_out(samples, 1, 0.3, seed=0))
    return TrainingData(samples.rows(train), samples.rows(held_out))


@pytest.mark.parametrize("method", [Trace(SELECTION), Lora(), METHODS["linear_probe"](), METHODS["full"]()])
def test_the_fit_knows_no_task(method: Any) -> None:
    values, labels = waves(90)
    data = parts(LabelledSeries(values, labels))
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, learning_rate=5e-3)
    config = FitConfig(method=method, head_training=training, training=training)
    task = Classification(CLASSES, CHANNELS, CONTEXT)
    with Run.at(None) as run:
        fitted = fit(task, tiny_backbone(), data, config, run)
    record = fitted.record.to_json()
    names = ["head"] if method.name == "linear_probe" else ["head", method.name]
    assert [each["name"] for each in record["candidates"]] == names
    losses = {each["name"]: each["validation_loss"] for each in record["candidates"]}
    assert losses[record["winner"]] < 0.5 * np.log(CLASSES)
    if method.name == "trace":
        assert len(record["selection"]["kept"]) == 5
    test = LabelledSeries(*waves(60, seed=1))
    assert sample_losses(fitted.model, test).mean() < 0.6 * np.log(CLASSES)


def test_another_task_s_start_or_head_is_refused() -> None:
    values, labels = waves(30)
    data = parts(LabelledSeries(values, labels))
    task = Classification(CLASSES, CHANNELS, CONTEXT)
    with Run.at(None) as run, pytest.raises(InputError, match="'zero-shot'"):
        fit(task, tiny_backbone(), data, FitConfig(method=Lora(), start="zero-shot"), run)


def test_a_batch_at_one_scale_gives_the_same_logits_while_the_model_is_that_of_the_start() -> None:
    """What was added to others' logits is known, so that nothing changes before an adapter does."""
    values, labels = waves(20)
    samples, model = LabelledSeries(values, labels), tiny_classifier()
    read = model.in_training(TrainingData(samples, samples))
    drawn = set()
    for first in range(16):
        rows = [first, 2, 19]
        batch = read.train.__getitems__(rows)
        assert batch.keys() == {"values", "labels", "scale", "others"}
        assert batch["scale"].tolist() == [int(batch["scale"][0])] * 3
        drawn.add(int(batch["scale"][0]))
        with torch.no_grad():
            expected = model(torch.from_numpy(values[rows]))
            torch.testing.assert_close(model(**batch).logits, expected.logits, atol=1e-5, rtol=1e-4)
    assert drawn == {0, 1, 2}
    assert read.train.__getitems__([3, 4])["scale"].equal(read.train.__getitems__([3, 4])["scale"])


def test_modules_are_scored_on_batches_of_all_scales() -> None:
    values, labels = waves(20)
    samples = LabelledSeries(values, labels)
    read = tiny_classifier().in_training(TrainingData(samples, samples))
    items = list(batch_loader(read.validation, 12))
    assert [(len(each["labels"]), int(each["scale"][0])) for each in items] == [
        (size, scale) for size in (12, 8) for scale in (0, 1, 2)
    ]
    drawn = [
        int(each["scale"][0])
        for step in range(20)
        for each in ScoringBatches(batch_loader(read.validation, 12), 4).draw(1, step)
    ]
    assert set(drawn) == {0, 1, 2}


def test_steps_of_training_encode_one_scale_each() -> None:
    values, labels = waves(48)
    data = parts(LabelledSeries(values, labels))
    training = TrainingConfig(max_steps=4, batch_size=8, evaluations=1, learning_rate=1e-3)
    backbone, lengths = tiny_backbone(), []
    encode = type(backbone).encode

    def noted(self: Any, values: torch.Tensor, *args: Any, **options: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            lengths.append(values.shape[-1])
        return encode(self, values, *args, **options)

    with Run.at(None) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(backbone), "encode", noted)
        fit(
            Classification(CLASSES, CHANNELS, CONTEXT),
            backbone,
            data,
            FitConfig(method=Lora(), training=training, head_start="kept"),
            run,
        )
    assert len(lengths) == 4
