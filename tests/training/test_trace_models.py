"""The callback on models of others: a classifier, TimesFM, Chronos-2; and in bfloat16."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    TimesFm2_5Config,
    TimesFm2_5ModelForPrediction,
    Trainer,
)

from tests.training.trace_runs import (
    STEPS,
    Samples,
    arguments,
    selection,
    trainer,
    validation,
)
from tracetune.selection.layers import lora_modules
from tracetune.training.trace_callback import TraceCallback


def classifier() -> nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    options = {"task_type": "SEQ_CLS", "r": 2, "target_modules": ["query", "value", "intermediate.dense"]}
    return peft.get_peft_model(BertForSequenceClassification(config), peft.LoraConfig(**options))


def sentences(count: int) -> Samples:
    tokens = torch.randint(5, 40, (count, 8), generator=torch.Generator().manual_seed(4))
    return Samples({"input_ids": tokens, "labels": (tokens[:, 0] > 22).long()})


def classification_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return functional.cross_entropy(model(**batch).logits, batch["labels"], reduction="none")


@pytest.mark.parametrize(("loss_fn", "passes"), [(None, 2 + 2 * 8 * 3), (classification_loss, 2 * 3)])
def test_a_text_classifier(tmp_path: Path, loss_fn: Any, passes: int) -> None:
    """By its own mean loss with masks per batch, or by a loss per sample with masks per sample."""
    callback = TraceCallback(selection(keep=3, interval=5, batch_size=16), sentences(32), loss_fn)
    run = Trainer(
        classifier(), arguments(tmp_path, label_names=["labels"]), train_dataset=sentences(16), callbacks=[callback]
    )
    run.train()
    assert len(lora_modules(run.model)) == 3
    assert callback.run.spent.passes == pytest.approx(5 + len(callback.records) * passes)  # the rows are checked once
    run.save_model(str(tmp_path / "saved"))
    assert (
        json.loads((tmp_path / "saved" / "adapter_config.json").read_text())["target_modules"]
        == callback.report()["kept"]
    )


def test_timesfm_from_transformers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = TimesFm2_5Config(
        patch_length=8, context_length=32, horizon_length=8, num_hidden_layers=2, hidden_size=16, intermediate_size=16,
        head_dim=8, num_attention_heads=2, num_key_value_heads=2, output_quantile_len=8,
    )  # fmt: skip
    model = peft.get_peft_model(
        TimesFm2_5ModelForPrediction(config), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "o_proj"])
    )
    series = torch.sin(torch.arange(40) / 3 + torch.arange(16)[:, None]) + 0.1 * torch.randn(16, 40)
    data = Samples({"past_values": series[:, :32], "future_values": series[:, 32:]})
    callback = TraceCallback(selection(keep=2, interval=5, batch_size=8), data)
    run = Trainer(model, arguments(tmp_path, label_names=["future_values"]), train_dataset=data, callbacks=[callback])
    run.train()
    assert len(lora_modules(run.model)) == 2
    assert any(score != 0 for score in callback.records[-1].scores.values())


def test_chronos_2_takes_the_callback_in_its_own_fit(tmp_path: Path) -> None:
    pytest.importorskip("chronos", reason="chronos-forecasting (extra 'chronos') is not installed with all it needs")
    from chronos import Chronos2Pipeline
    from chronos.chronos2.config import Chronos2CoreConfig
    from chronos.chronos2.dataset import Chronos2Dataset
    from chronos.chronos2.model import Chronos2Model
    from chronos.chronos2.preprocess import from_list_of_dicts

    torch.manual_seed(0)
    forecasting = {
        "context_length": 32,
        "input_patch_size": 8,
        "input_patch_stride": 8,
        "output_patch_size": 8,
        "max_output_patches": 2,
        "quantiles": [level / 10 for level in range(1, 10)],
        "use_reg_token": True,
        "use_arcsinh": True,
    }
    config = Chronos2CoreConfig(
        d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=2, chronos_config=forecasting
    )
    Chronos2Pipeline(Chronos2Model(config)).save_pretrained(tmp_path / "base")
    pipeline = Chronos2Pipeline.from_pretrained(tmp_path / "base")
    series = [{"target": np.sin(np.arange(64) / 3 + phase).astype("float32")} for phase in range(6)]
    batches = Chronos2Dataset(
        from_list_of_dicts(series, prediction_length=8),
        context_length=32,
        prediction_length=8,
        batch_size=4,
        output_patch_size=8,
        min_past=8,
        mode="validation",
    )
    callback = TraceCallback(selection(keep=4, interval=5), batches)
    tuned = pipeline.fit(
        series,
        prediction_length=8,
        finetune_mode="lora",
        num_steps=STEPS,
        batch_size=4,
        learning_rate=1e-2,
        output_dir=tmp_path,
        callbacks=[callback],
        disable_tqdm=True,
    )
    assert len(lora_modules(tuned.model)) == 4
    assert callback.run.spent.passes == pytest.approx(5 + len(callback.records) * (2 + 2 * 8 * 3))  # masks per batch
    loaded = Chronos2Pipeline.from_pretrained(tmp_path / "finetuned-ckpt")
    tuned.model.eval()
    context = torch.randn(2, 1, 32)
    for one, other in zip(loaded.predict(context, 8), tuned.predict(context, 8), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_bf16_training_scores_in_bf16(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []

    def loss_fn(model: nn.Module, batch: Any) -> torch.Tensor:
        hook = lora_modules(model)["blocks.0.up"].register_forward_hook(lambda m, i, o: seen.append(o.dtype))
        losses = model(**batch)["sample_losses"]
        hook.remove()
        return losses

    callback = TraceCallback(selection(keep=4, interval=5), validation(), loss_fn)
    trainer(tmp_path, callback, bf16=True).train()
    assert set(seen) == {torch.bfloat16}
    assert all(math.isfinite(score) for score in callback.records[-1].scores.values())
