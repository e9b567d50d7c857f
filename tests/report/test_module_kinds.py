"""Layers of encoders as transformers calls them, under one set of names."""

import pytest
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
)
from transformers.pytorch_utils import Conv1D

from tracetune.report.importance_plots import module_grid

SIZES = {
    "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20,
}  # fmt: skip
SPECIAL = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
FUSED = "Query, key, value"
SEPARATE = ("Query", "Key", "Value", "Output", "Up", "Down")


def blocks(model: nn.Module) -> list[str]:
    """Names of the linear layers of blocks: those with a number in their name."""
    linear = [name for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D))]
    return [name for name in linear if any(part.isdecimal() for part in name.split("."))]


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (BertModel(BertConfig(**SIZES)), SEPARATE),
        (RobertaModel(RobertaConfig(**SIZES)), SEPARATE),
        (ElectraModel(ElectraConfig(**SIZES)), SEPARATE),
        (AlbertModel(AlbertConfig(**SIZES, embedding_size=8)), SEPARATE),
        (DistilBertModel(DistilBertConfig(vocab_size=20, dim=8, n_layers=2, n_heads=2, hidden_dim=16)), SEPARATE),
        (GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=2, n_head=2)), (FUSED, "Output", "Up", "Down")),
        (ModernBertModel(ModernBertConfig(**SIZES, **SPECIAL)), (FUSED, "Output", "Gate, up", "Down")),
        (LlamaModel(LlamaConfig(**SIZES)), ("Query", "Key", "Value", "Output", "Gate", "Up", "Down")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)  # fmt: skip
def test_layers_of_every_architecture_have_the_same_names(model: nn.Module, columns: tuple[str, ...]) -> None:
    names = blocks(model)
    assert module_grid(names).columns == columns
    assert module_grid(names[::-1]).columns == columns
    assert len(set(module_grid(names).places.values())) == len(names)


def test_output_and_down_are_told_apart_by_what_holds_them() -> None:
    grid = module_grid(["h.0.attn.c_proj", "h.0.mlp.c_proj", "h.0.attention.output.dense"])
    assert grid.columns == ("attn.c_proj", "Down", "attention.output.dense")
