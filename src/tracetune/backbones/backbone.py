"""What a foundation model must offer to be fine-tuned here, and the names under which models are known."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError, unknown_name
from tracetune.base.files import read_json_object


@dataclass(frozen=True)
class InstanceStatistics:
    """Location and scale of each input series, as its normalisation found them.

    Attributes:
        location: [B, C, 1] mean of the observed steps.
        scale: [B, C, 1] standard deviation of the observed steps, positive.
    """

    location: Tensor
    scale: Tensor

    def denormalise(self, values: Tensor) -> Tensor:
        """Map values [B, C, L] from the normalised space back to the units of the input."""
        return values * self.scale + self.location


@runtime_checkable
class Backbone(Protocol):
    """A pretrained encoder of time series, with the one task that it can do by itself.

    ``encode`` gives tokens for a head of ours; ``forecast`` is the zero-shot forecast.
    """

    context_length: int
    patch_length: int
    width: int

    def encode(self, values: Tensor, input_mask: Tensor | None = None) -> tuple[Tensor, InstanceStatistics]:
        """Tokens [B, C, N, D] and statistics of values [B, C, T] with observed steps ``input_mask`` [B, C, T]."""
        ...

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Zero-shot forecast [B, C, H] of past values [B, C, T]."""
        ...

    def pieces(self, context_length: int, prediction_length: int) -> int:
        """How many passes a zero-shot forecast of H steps takes, each continuing from the one before."""
        ...

    def num_patches(self, context_length: int) -> int:
        """Number of tokens N for a context of T steps."""
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and configuration so that ``load_backbone(folder)`` finds them."""
        ...


@runtime_checkable
class MaskedBackbone(Backbone, Protocol):
    """A backbone that forecasts by rebuilding patches that are hidden from it."""

    @property
    def token_to_patch(self) -> nn.Linear:
        """The map from a token [D] to the P steps of its patch, normalised."""
        ...

    def encode_future(
        self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int
    ) -> tuple[Tensor, InstanceStatistics]:
        """Tokens [B, C, N, D], the last of which belong to hidden patches in place of the next H steps."""
        ...


Prefix = Callable[[Tensor, Tensor], tuple[Tensor, int]]
"""From embedded patches [B, C, N, D] and the attended ones [B, C, N] to hidden states and the number of blocks done."""


@runtime_checkable
class BlockwiseBackbone(Backbone, Protocol):
    """A backbone whose blocks run one by one, so that those which do not change need not run again.

    Where ``prefix`` is set, ``encode`` and ``forecast`` ask it for the hidden states to go on from.
    """

    prefix: Prefix | None

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks in the order in which they run."""
        ...

    def run_blocks(self, hidden: Tensor, attended: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Hidden states [B, C, N, D] after blocks ``start`` to ``stop``, given those before."""
        ...


def frozen_blocks(blocks: Sequence[nn.Module] | nn.ModuleList) -> int:
    """How many of the first blocks have nothing that trains."""
    trains = (any(parameter.requires_grad for parameter in block.parameters()) for block in blocks)
    return next((number for number, trainable in enumerate(trains) if trainable), len(blocks))


@dataclass(frozen=True)
class ModelInfo:
    """One line of the model list: a name, where its weights are, what they are."""

    name: str
    family: str
    parameters: str
    licence: str
    description: str
    embedded: bool = False


MODELS = {
    info.name: info
    for info in (
        ModelInfo(
            "tracetune/tiny", "moment", "1.3 M", "Apache-2.0", "ships with tracetune; synthetic pretraining", True
        ),
        ModelInfo("AutonLab/MOMENT-1-small", "moment", "38 M", "MIT", "MOMENT, T5-small geometry; Hugging Face hub"),
        ModelInfo("AutonLab/MOMENT-1-base", "moment", "114 M", "MIT", "MOMENT, T5-base geometry; Hugging Face hub"),
        ModelInfo("AutonLab/MOMENT-1-large", "moment", "348 M", "MIT", "MOMENT, T5-large geometry; Hugging Face hub"),
    )
}

Loader = Callable[[Path, dict[str, Any]], Any]
_LOADERS: dict[str, Loader] = {}


def register_family(family: str) -> Callable[[Loader], Loader]:
    """Decorator: ``loader(folder, config)`` builds backbones whose config.json belongs to ``family``."""

    def register(loader: Loader) -> Loader:
        if family in _LOADERS:
            raise AssertionError(f"backbone family {family!r} is registered twice")
        _LOADERS[family] = loader
        return loader

    return register


def load_backbone(name_or_folder: str | Path) -> Any:
    """Load a backbone by registered name, local folder or Hugging Face hub id.

    Raises:
        InputError: no such name or folder, the hub cannot be reached, or the files are damaged or of an
            unknown family.
    """
    folder = locate_weights(name_or_folder)
    config = read_json_object(folder / "config.json")
    family = str(config.get("model_name", config.get("model_type", ""))).lower()
    if family not in _LOADERS:
        raise unknown_name("backbone family", family, _LOADERS)
    return _LOADERS[family](folder, config)


def locate_weights(name_or_folder: str | Path) -> Path:
    """Folder with config.json and model.safetensors for a name, downloading hub models into the hub's cache."""
    name = str(name_or_folder)
    if name in MODELS and MODELS[name].embedded:
        return Path(str(resources.files("tracetune"))) / "weights" / name.rpartition("/")[2]
    if Path(name).is_dir():
        return Path(name)
    if name not in MODELS and name.count("/") != 1:
        raise unknown_name("model (and no such folder)", name, MODELS)
    return _download(name)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "model.safetensors"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        hint = unknown_name("model", name, MODELS) if name not in MODELS else f"Model {name!r} is not cached here."
        raise InputError(f"{hint} Downloading it from the Hugging Face hub failed: {error}") from error


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names, shapes and values of all parameters: says whether two backbones are the same."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
