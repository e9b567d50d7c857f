"""Text encoders of transformers by name: read with their tokenizers, and refused where they are none."""

from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tracetune.backbones.known_models import MODELS
from tracetune.backbones.loading import HUB_ID, is_folder, refuse_non_finite
from tracetune.backbones.text_encoder import TextEncoder, quiet_transformers
from tracetune.base.errors import InputError, argument, shown


def load_text_encoder(name_or_folder: str | Path, layers: int | None = None) -> TextEncoder:
    """Load an encoder with its tokenizer from a folder or the Hugging Face hub; heads on top of it are left out.

    Args:
        name_or_folder: of the encoder.
        layers: how many of its first layers to load, and to read the last of; None for all.

    Raises:
        InputError: no such model, no text encoder, no tokenizer, weights that are damaged, missing or not finite, or
            another number of layers than it has.
    """
    name = str(name_or_folder)
    if name in MODELS:
        raise InputError(f"{name!r} is a model of time series. Expected a text encoder, such as a folder with BERT.")
    folder = Path(name).expanduser()
    if not is_folder(folder) and not HUB_ID.fullmatch(name):
        raise InputError(
            f"Unknown text encoder {shown(name, 200)}: there is no such folder, and a model of the Hugging Face hub is "
            "'owner/name'."
        )
    model, tokenizer = _pretrained(name, str(folder) if is_folder(folder) else name, layers)
    refuse_non_finite(model, folder)
    try:
        return TextEncoder(model, tokenizer, layers).eval()
    except InputError:
        raise
    except Exception as error:
        decoder = " It has a decoder that asks for texts of its own." if model.config.is_encoder_decoder else ""
        raise InputError(
            f"Expected an encoder of texts in {shown(name, 200)}; {type(model).__name__} failed on one: "
            f"{type(error).__name__}: {shown(str(error), 300)}.{decoder} Give another encoder, such as BERT."
        ) from error


def _pretrained(name: str, source: str, layers: int | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model, of so many layers, and the tokenizer in a folder or on the hub; ``name`` is for messages.

    Raises:
        InputError: transformers cannot load one of them, weights are missing, or it has fewer layers.
    """
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(source)
            encodes = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING  # of T5 the encoder alone
            if layers is not None:
                _refuse_layers(layers, config, name, with_decoder=config.is_encoder_decoder and not encodes)
                config.num_hidden_layers = layers
            tokenizer = AutoTokenizer.from_pretrained(source)
            model, found = (AutoModelForTextEncoding if encodes else AutoModel).from_pretrained(
                source, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except InputError:
        raise
    except Exception as error:  # transformers and tokenizers raise any, also plain ones and classes of their own
        raise InputError(
            f"Expected a text encoder of transformers in {shown(name, 200)}: config.json, model.safetensors and the "
            f"files of its tokenizer. {type(error).__name__}: {shown(str(error), 600)}"
        ) from error
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(
            f"The weights in {shown(name, 200)} are not those of {type(model).__name__}: {len(missing)} are missing, "
            f"such as {missing[0]!r}."
        )
    return model, tokenizer


def _refuse_layers(layers: int, config: PreTrainedConfig, name: str, *, with_decoder: bool) -> None:
    if with_decoder:
        raise InputError(
            f"{shown(name, 200)} has a decoder behind its encoder, whose last layer is read: leave out "
            f"{argument('layers')}."
        )
    there = getattr(config, "num_hidden_layers", 0)
    if not 1 <= layers <= there:
        raise InputError(
            f"Expected {argument('layers')} between 1 and {there}, which {shown(name, 200)} has, found {layers}."
        )
