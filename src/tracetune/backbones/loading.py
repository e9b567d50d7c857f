"""Backbones by name: finding, reading and identifying their weights."""

import hashlib
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.known_models import MODELS
from tracetune.base.errors import InputError, either, nearest_names, shown, unknown_name
from tracetune.base.files import read_json_object
from tracetune.base.json_types import JsonObject

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_LONGEST_NAME = 255
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


Loader = Callable[[Path, JsonObject], Backbone]
_LOADERS: dict[str, Loader] = {}


def register_family(family: str) -> Callable[[Loader], Loader]:
    """Register ``loader(folder, config)`` for backbones whose config.json belongs to ``family`` (a decorator)."""

    def register(loader: Loader) -> Loader:
        if family in _LOADERS:
            raise AssertionError(f"backbone family {family!r} is registered twice")
        _LOADERS[family] = loader
        return loader

    return register


def load_backbone(name_or_folder: str | Path) -> Backbone:
    """Load a backbone by registered name, local folder or Hugging Face hub id.

    >>> backbone = load_backbone("tracetune/tiny")
    >>> backbone.num_patches(512) * backbone.patch_length
    512

    Raises:
        InputError: no such name or folder, the hub cannot be reached, or the files are damaged, of an
            unknown family, or hold a value that is not finite.
    """
    folder = locate_weights(name_or_folder)
    config = read_json_object(folder / CONFIG_FILE)
    _import_families()
    family = _family(config)
    if not isinstance(family, str):
        raise InputError(
            f"Expected {folder / CONFIG_FILE} to name its family of models in 'model_name', 'architectures' or "
            f"'model_type', found {shown(family)}. Known: {', '.join(sorted(_LOADERS))}."
        )
    if family.lower() not in _LOADERS and _reads_texts(config):
        raise InputError(
            f"Expected a model of time series in {folder}, found {shown(family)}, a model of texts. It goes with "
            f"{either('TextClassifier', '--task text')}."
        )
    if family.lower() not in _LOADERS:
        raise unknown_name(f"backbone family in {folder / CONFIG_FILE}:", family, _LOADERS)
    backbone = _LOADERS[family.lower()](folder, config)
    refuse_non_finite(backbone, folder)
    return backbone


def _reads_texts(config: Mapping[str, object]) -> bool:
    """Return whether a model is one of the usual text encoders of transformers."""
    kind = str(config.get("model_type", ""))
    return "bert" in kind or kind in ("electra", "mpnet")


def _family(config: Mapping[str, object]) -> object:
    """Return the family that config.json names: the first known one of model_name, architectures and model_type."""
    architectures = config.get("architectures")
    named = [
        config.get("model_name"),
        *(architectures if isinstance(architectures, list) else []),
        config.get("model_type"),
    ]
    given = [name for name in named if name is not None]
    known = (name for name in given if isinstance(name, str) and name.lower() in _LOADERS)
    return next(known, given[0] if given else None)


def _import_families() -> None:
    """Import every module beside this one, so that each registers its family."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")


def locate_weights(name_or_folder: str | Path) -> Path:
    """Return the folder with config.json and model.safetensors for a name, downloading hub models into the hub's cache.

    Raises:
        InputError: there is no such folder and no such model, or the folder holds no model.
    """
    name = str(name_or_folder)
    if name in MODELS and MODELS[name].embedded:
        return Path(str(resources.files("tracetune"))) / "weights" / name.rpartition("/")[2]
    folder = Path(name).expanduser()
    if name and is_folder(folder):
        return _checked_folder(folder)
    if len(name) < _LONGEST_NAME and folder.is_file():
        raise InputError(f"Expected a folder with a model, found the file {name}. Give the folder that it is in.")
    if name not in MODELS and (not HUB_ID.fullmatch(name) or is_folder(folder.parent)):
        raise InputError(_no_such_model(name))
    return _download(name)


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder; a name that no file system can hold is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        InputError: the file is missing, damaged or truncated.
    """
    if not path.is_file():
        raise InputError(f"Expected weights at {path}; the file does not exist.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or truncated ({error}). Restore it from its source.") from error


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 over names, shapes and values of parameters and buffers, the same for the same weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _checked_folder(folder: Path) -> Path:
    """Return ``folder``, if it holds a backbone; otherwise an error that says what it holds instead."""
    if (folder / CONFIG_FILE).exists():
        return folder
    inside = sorted(path.name for path in folder.iterdir())
    models = [name for name in inside if any((folder / name / mark).is_file() for mark in (CONFIG_FILE, "trace.json"))]
    found = f"found {', '.join(inside[:5])}{', ...' if len(inside) > 5 else ''}" if inside else "it is empty"
    hint = (
        f" Folders in it that hold a model: {', '.join(str(folder / name) for name in models[:5])}." if models else ""
    )
    raise InputError(
        f"Expected a model in the folder {folder}: {CONFIG_FILE} and {WEIGHTS_FILE} of a foundation model, "
        f"or trace.json of a fine-tuned one; {found}.{hint}"
    )


def _no_such_model(name: str) -> str:
    """Return where a name was looked for that is neither a folder nor a known model, and the names near it."""
    folder = Path(name).expanduser()
    beside = [path.name for path in folder.parent.iterdir() if path.is_dir()] if is_folder(folder.parent) else []
    close = [str(folder.parent / near) for near in nearest_names(folder.name, beside) if not near.startswith(".")]
    close += nearest_names(name, MODELS)
    hint = ""
    if close:
        hint = f" Did you mean {' or '.join(map(repr, close))}?"
    elif beside and folder.parent != Path():
        hint = f" Folders there: {', '.join(sorted(beside)[:5])}."
    place = (
        f"no such folder in {folder.parent.absolute()}" if beside else f"no folder {shown(str(folder.absolute()), 200)}"
    )
    return (
        f"Unknown model {shown(name, 200)}: there is {place}, and none of the known models has that name.{hint} "
        f"Known: {', '.join(sorted(MODELS))}; a model of the Hugging Face hub is 'owner/name'."
    )


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        start = f"Model {name!r} is not in the cache." if name in MODELS else _no_such_model(name)
        raise InputError(
            f"{start} Downloading it from the Hugging Face hub failed: {type(error).__name__}: {error}"
        ) from error
    return _checked_folder(Path(folder))


def refuse_non_finite(backbone: nn.Module, folder: Path) -> None:
    """Refuse weights that would turn everything into NaN.

    Raises:
        InputError: a value is NaN or infinite.
    """
    for name, tensor in backbone.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"The weights in {folder} are damaged: {name} holds NaN or infinite values. "
                "Use a copy from the source of the model."
            )
