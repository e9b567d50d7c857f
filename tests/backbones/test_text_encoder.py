"""Text encoders: transformers' own hidden states, block by block or whole, and folders that are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    ConvBertConfig,
    ConvBertModel,
    PreTrainedTokenizerFast,
    T5Model,
)

from tests.tiny_text import save_tiny_text
from tracetune.backbones.backbone import BlockwiseBackbone
from tracetune.backbones.text_encoder import TextEncoder, padded
from tracetune.backbones.text_encoder_loading import load_text_encoder
from tracetune.base.errors import InputError

TEXTS = ["good film", "the story is very dull and the end is poor"]


@pytest.mark.parametrize(("family", "blocks"), [("bert", 2), ("minilm", 3), ("roberta", 2), ("distilbert", 2)])
def test_hidden_states_are_those_of_transformers(tmp_path: Path, family: str, blocks: int) -> None:
    folder = save_tiny_text(tmp_path, family)
    encoder = load_text_encoder(folder)
    assert isinstance(encoder, BlockwiseBackbone)
    assert len(encoder.blocks) == blocks
    assert len(encoder.adapted_layers()) == 6 * blocks  # query, key, value, output, up, down
    assert encoder.context_length == 32
    named, cut = encoder.tokenize(TEXTS, None, 32)
    assert cut == 0
    batch = padded(named, encoder.padding)
    types = batch.get("token_type_ids")
    reference = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    torch.testing.assert_close(batch["input_ids"], reference["input_ids"])
    with torch.no_grad():
        found = encoder.encode(batch["input_ids"].unsqueeze(1), batch["attention_mask"], None, types).tokens
        expected = AutoModel.from_pretrained(folder).eval()(**reference).last_hidden_state
        alone = encoder.encode(batch["input_ids"][:1, None, :4], None, None, None if types is None else types[:1, :4])
    attended = batch["attention_mask"].bool()
    torch.testing.assert_close(found.squeeze(1)[attended], expected[attended], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.tokens[0, 0], found[0, 0, :4], atol=1e-5, rtol=1e-5)  # whatever else is in a batch


@pytest.mark.parametrize("family", ["minilm", "distilbert", "gpt2"])
def test_the_first_layers_are_those_of_the_whole_model(tmp_path: Path, family: str) -> None:
    folder = save_tiny_text(tmp_path, family)
    whole, first = load_text_encoder(folder), load_text_encoder(folder, 1)
    assert len(first.adapted_layers()) < len(whole.adapted_layers())
    tokens = torch.arange(6).view(1, 1, 6)
    states = whole.model(input_ids=tokens[0], output_hidden_states=True).hidden_states[1]
    if family == "gpt2":  # which normalises what comes out
        states = whole.model.ln_f(states)
    torch.testing.assert_close(first.encode(tokens).tokens[0], states)
    for layers in (0, 9):
        with pytest.raises(InputError, match=r"layers between 1 and \d, which .* has, found"):
            load_text_encoder(folder, layers)


def test_of_a_model_with_a_decoder_the_encoder_is_taken_where_it_stands_alone(tmp_path: Path) -> None:
    folder = save_tiny_text(tmp_path / "t5", "t5")
    tokens = torch.arange(6).view(1, 1, 6)
    expected = T5Model.from_pretrained(folder).encoder(tokens[0]).last_hidden_state
    encoder = load_text_encoder(folder)
    torch.testing.assert_close(encoder.encode(tokens).tokens[0], expected)
    assert not any("decoder" in name for name, _ in encoder.named_parameters())
    assert len(load_text_encoder(folder, 1).adapted_layers()) == len(encoder.adapted_layers()) / 2
    with pytest.raises(InputError, match="has a decoder behind its encoder"):
        load_text_encoder(save_tiny_text(tmp_path / "bart", "bart"), 1)


def test_pairs_and_long_texts(tmp_path: Path) -> None:
    encoder = load_text_encoder(save_tiny_text(tmp_path))
    named, cut = encoder.tokenize(["good film", "good " * 40], ["bad end", "bad film"], 12)
    assert cut == 1
    assert named["token_type_ids"][0] == [0] * 4 + [1] * 3
    assert len(named["input_ids"][1]) == 12
    with pytest.raises(InputError, match="no patch_mask"):
        encoder.encode(torch.zeros(1, 1, 4, dtype=torch.int64), patch_mask=torch.zeros(1, 4))


@pytest.mark.parametrize("family", ["roberta", "camembert", "mpnet", "bert"])
def test_the_longest_text_that_has_positions_is_encoded(tmp_path: Path, family: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_text(tmp_path))
    tokenizer.model_max_length = int(1e30)  # as tokenizers say that were saved without a limit
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = AutoConfig.for_model(family, vocab_size=40, max_position_embeddings=20, pad_token_id=1, **sizes)
    model = AutoModel.from_config(config)
    if family == "mpnet":  # a bias that its blocks are given: they would be nearly the same without
        model.encoder.relative_attention_bias.weight.data.mul_(1e-3)
    encoder = TextEncoder(model, tokenizer)
    assert len(encoder.blocks) == (0 if family == "mpnet" else 1)
    assert encoder.context_length == (20 if family == "bert" else 18)
    numbers = torch.full((1, 1, encoder.context_length), 7)
    assert encoder.encode(numbers).tokens.shape == (1, 1, encoder.context_length, 16)


def test_a_model_of_another_build_runs_whole(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_text(tmp_path))
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "embedding_size": 8}
    encoder = TextEncoder(AlbertModel(AlbertConfig(vocab_size=40, num_hidden_layers=2, **sizes)), tokenizer)
    assert len(encoder.blocks) == 0
    assert "model.encoder.albert_layer_groups.0.albert_layers.0.attention.query" in encoder.adapted_layers()
    assert encoder.encode(torch.ones(2, 1, 5, dtype=torch.int64)).tokens.shape == (2, 1, 5, 16)


def test_padding_that_is_seen_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_text(tmp_path))
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "embedding_size": 16}
    TextEncoder(AlbertModel(AlbertConfig(vocab_size=40, num_hidden_layers=2, **sizes)), tokenizer)
    assert not caplog.messages
    TextEncoder(ConvBertModel(ConvBertConfig(vocab_size=40, num_hidden_layers=2, **sizes)), tokenizer)
    assert "ConvBertModel lets padding into its hidden states" in caplog.text


def test_the_first_token_of_a_decoder_sees_no_other(tmp_path: Path) -> None:
    assert load_text_encoder(save_tiny_text(tmp_path / "bert")).first_token_sees
    assert not load_text_encoder(save_tiny_text(tmp_path / "gpt2", "gpt2")).first_token_sees


def test_a_text_without_tokens_is_refused(tmp_path: Path) -> None:
    letters = Tokenizer(models.BPE({letter: number for number, letter in enumerate("dfgilmo")}, []))  # drops others
    encoder = load_text_encoder(save_tiny_text(tmp_path, "distilbert"))
    encoder.tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters)
    assert encoder.tokenize(["good film"], None, 8)[0]["input_ids"] == [[2, 6, 6, 0, 1, 3, 4, 5]]
    with pytest.raises(InputError, match="with a token each, found '你好'"):
        encoder.tokenize(["good film", "你好"], None, 8)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    encoder = load_text_encoder(save_tiny_text(tmp_path / "a"))
    encoder.save_pretrained(tmp_path / "b")
    numbers = torch.tensor([[[2, 5, 13, 3]]])
    with torch.no_grad():
        torch.testing.assert_close(
            load_text_encoder(tmp_path / "b").encode(numbers).tokens, encoder.encode(numbers).tokens
        )


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model of time series"):
        load_text_encoder("tracetune/tiny")
    with pytest.raises(InputError, match="no such folder"):
        load_text_encoder(str(tmp_path / "nothing" / "here" / "at all"))
    folder = Path(save_tiny_text(tmp_path / "bert"))
    weights = load_file(folder / "model.safetensors")
    key = "encoder.layer.1.output.dense.weight"
    save_file({name: one for name, one in weights.items() if name != key}, folder / "model.safetensors")
    with pytest.raises(InputError, match=f"1 are missing, such as '{key}'"):
        load_text_encoder(folder)
    save_file(weights | {key: weights[key] * torch.nan}, folder / "model.safetensors")
    with pytest.raises(InputError, match="NaN or infinite"):
        load_text_encoder(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="Expected a text encoder of transformers"):
        load_text_encoder(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(InputError, match="nonsense"):
        load_text_encoder(folder)
