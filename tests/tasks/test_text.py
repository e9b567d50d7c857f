"""Text classification: losses, gates of each sample, the frozen prefix with batches of many lengths."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel

from tests.tiny_text import reviews, save_tiny_text
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.text_encoder import TextEncoder
from tracetune.backbones.text_encoder_loading import load_text_encoder
from tracetune.base.errors import InputError
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods import Lora
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.selection.estimates.row_independence import rows_independent
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.validation import model_loss
from tracetune.tasks.task import TrainingData
from tracetune.tasks.text import LabelledTexts, TextClassification
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return load_text_encoder(save_tiny_text(tmp_path_factory.mktemp("bert")))


def samples(encoder: TextEncoder, count: int, seed: int = 0) -> LabelledTexts:
    texts, labels = reviews(count, seed)
    named, _ = encoder.tokenize(texts, None, 32)
    return LabelledTexts(named, np.array([label == "positive" for label in labels], dtype=np.int64), encoder.padding)


def adapted(encoder: TextEncoder, longest: int) -> PeftModel:
    """With adapters that do something."""
    torch.manual_seed(1)
    model = add_lora(TextClassification(2, longest).model(copy.deepcopy(encoder), PooledHeadConfig()), LoraOptions())
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def test_losses_are_cross_entropies_and_batches_are_padded(encoder: TextEncoder) -> None:
    data = samples(encoder, 6)
    batch = data.__getitems__([0, 3, 5])
    lengths = [len(data.named["input_ids"][row]) for row in (0, 3, 5)]
    assert batch["input_ids"].shape == (3, max(lengths))
    assert batch["attention_mask"].sum(1).tolist() == lengths
    model = TextClassification(2, data.longest).model(encoder, PooledHeadConfig()).eval()
    output = model(**batch)
    expected = -output.logits.log_softmax(-1)[torch.arange(3), batch["labels"]]
    torch.testing.assert_close(output.sample_losses, expected)
    torch.testing.assert_close(output.loss, expected.mean())
    weighted = TextClassification(2, data.longest, class_weights=(0.5, 3.0)).model(encoder, PooledHeadConfig()).eval()
    weighted.head = model.head
    expected = expected * torch.tensor([0.5, 3.0])[batch["labels"]]
    torch.testing.assert_close(weighted(**batch).sample_losses, expected)
    torch.testing.assert_close(weighted(**batch).loss, expected.mean())
    ordered = data.by_length(np.array([0, 3, 5]))
    assert [len(numbers) for numbers in ordered.named["input_ids"]] == sorted(lengths)
    assert sorted(ordered.labels.tolist()) == sorted(batch["labels"].tolist())
    with pytest.raises(InputError, match="PooledHeadConfig"):
        TextClassification(2, 32).model(encoder, None)  # type: ignore[arg-type]


def test_samples_keep_to_themselves_so_that_each_has_gates_of_its_own(encoder: TextEncoder) -> None:
    data = samples(encoder, 16)
    model, batch = adapted(encoder, data.longest), data.__getitems__(list(range(16)))
    gates = Gates(model)
    assert gates.M == 12
    with torch.no_grad():
        assert rows_independent(gates, batch, model_loss)
    found = score_modules(model, [batch], masks="per_sample")
    assert np.isfinite(found.scores).all()


def test_frozen_blocks_run_once_whatever_the_lengths_of_a_batch(encoder: TextEncoder, tmp_path: Path) -> None:
    data = TrainingData(samples(encoder, 40), samples(encoder, 20, seed=1))
    method = Lora(LoraOptions(target_modules=("*.layer.1.*",)))
    training = TrainingConfig(num_train_epochs=3, batch_size=8, evaluations=3, learning_rate=1e-2)

    def fitted(cache: int | None) -> Any:
        config = FitConfig(method=method, head_training=training, training=training, shrink="none", cache_bytes=cache)
        with Run.at(None) as run:
            return fit(TextClassification(2, data.train.longest), encoder, data, config, run).record  # type: ignore[attr-defined]

    remembered, computed = fitted(None), fitted(0)
    assert remembered.prefix_blocks["reused"] > remembered.prefix_blocks["computed"] > 0
    assert computed.prefix_blocks.get("reused", 0) == 0
    for one, other in zip(remembered.candidates, computed.candidates, strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], abs=1e-5)
