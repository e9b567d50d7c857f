"""Tiny text encoders of the real classes with random weights, saved as transformers saves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartModel,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DebertaConfig,
    DebertaModel,
    DistilBertConfig,
    DistilBertModel,
    EsmConfig,
    EsmModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    LayoutLMConfig,
    LayoutLMModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5Model,
)

GOOD = ["good", "great", "lovely", "fine"]
BAD = ["bad", "awful", "dull", "poor"]
NOUNS = ["film", "story", "actor", "scene", "music", "end"]
FILLERS = ["the", "a", "with", "and", "very", "is", "of"]
_SPECIAL = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
}
_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 34,
}


def save_tiny_text(folder: Path, family: str = "bert") -> str:
    """Save an encoder of two blocks, width 16, up to 32 tokens; its family is one of those below."""
    torch.manual_seed(0)
    words = _SPECIAL["roberta" if family == "roberta" else "bert"] + GOOD + BAD + NOUNS + FILLERS
    size = {"vocab_size": len(words)}
    if family == "roberta":
        config = RobertaConfig(**_SIZES, **size, pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1)
        model: Any = RobertaForSequenceClassification(config)
    elif family == "distilbert":
        model = DistilBertModel(
            DistilBertConfig(dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=34, **size)
        )
    elif family == "gpt2":
        size |= {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
        model = GPT2ForSequenceClassification(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **size))
    elif family == "deberta":  # changes outputs of its linear layers in place
        relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
        model = DebertaModel(DebertaConfig(**_SIZES, **size, **relative, type_vocab_size=0))
    elif family == "esm":  # transformers renames weights of older files
        model = EsmModel(EsmConfig(**_SIZES, **size, pad_token_id=0, mask_token_id=4))
    elif family == "layoutlm":  # calls its pooler whatever it is
        model = LayoutLMModel(LayoutLMConfig(**_SIZES, **size))
    elif family == "t5":  # has a decoder, and embeddings under two names
        model = T5Model(T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, **size))
    elif family == "bart":  # has a decoder that reads the same text
        layers = {f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
        widths = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 34}
        model = BartModel(BartConfig(**layers, **widths, **size))
    elif family == "minilm":  # BERT whose folder has a classification head
        model = BertForSequenceClassification(BertConfig(**{**_SIZES, "num_hidden_layers": 3}, **size))
    else:
        model = BertModel(BertConfig(**_SIZES, **size))
    model.save_pretrained(folder)
    _tokenizer(words, family).save_pretrained(folder)
    return str(folder)


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences of 2 to 7 words with one judging word, and their labels."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for index in range(count):
        words = list(rng.choice(NOUNS + FILLERS, size=int(rng.integers(1, 7))))
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(GOOD if index % 2 else BAD)))
        texts.append(" ".join(words))
        labels.append("positive" if index % 2 else "negative")
    return texts, labels


def _tokenizer(words: list[str], family: str) -> PreTrainedTokenizerFast:
    roberta = family == "roberta"
    begin, pad, end, unknown = ("<s>", "<pad>", "</s>", "<unk>") if roberta else ("[CLS]", "[PAD]", "[SEP]", "[UNK]")
    numbers = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    second = f"{end} $B {end}" if roberta else f"$B:1 {end}:1"
    backend.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {second}",
        special_tokens=[(begin, numbers[begin]), (end, numbers[end])],
    )
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if family in ("bert", "minilm") else [])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=unknown,
        pad_token=pad,
        cls_token=begin,
        sep_token=end,
        model_max_length=32,
        model_input_names=names,
    )


def config_of(folder: str) -> dict[str, Any]:
    """What config.json says."""
    content: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text())
    return content
