"""The folder of a fine-tuned model, the same for every estimator: saving, loading, merging.

    adapter_config.json, adapter_model.safetensors   of a model with adapters: PEFT's own files
    backbone/                                        the backbone, where no name gives its weights
    head.safetensors                                 of a model without adapters: its head, if it has one
    arrays.safetensors                               what an estimator needs besides, too large for trace.json
    trace.json                                       the record: what an estimator needs, how it was fitted, digests
    README.md                                        the model card

The backbone of a model with adapters is named, and recognised by the digest of its weights. A model that was merged or
trained in full carries its backbone; so does a model that was tuned on from such a one. Of a module of the user's own
it carries the weights; the module comes back as ``base``. trace.json holds the SHA-256
of every other file and of itself: a file that was exchanged or edited is refused before anything is computed.
"""

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import numpy as np
from peft import PeftModel
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import nn

from tracetune.adapters.checkpoint import (
    check_safetensors,
    load_adapter,
    merged,
    save_adapter,
    without_adapters,
)
from tracetune.backbones.any_module import AnyModule
from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone, read_weights, weights_digest
from tracetune.base.errors import InputError, argument, shown
from tracetune.base.files import file_digest, read_json_object, write_json
from tracetune.base.folders import staged_folder
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json

T = TypeVar("T")
B = TypeVar("B", bound=Backbone)

RECORD_FILE = "trace.json"
BACKBONE_FOLDER = "backbone"
HEAD_FILE = "head.safetensors"
_CARD_FILE = "README.md"
_ARRAYS_FILE = "arrays.safetensors"
_FORMAT = 2


@dataclass(frozen=True)
class BaseModel:
    """The backbone that a model was tuned from.

    Attributes:
        name: a model's name, a hub id or a folder.
        weights_sha256: digest of the weights that ``name`` gives; None where no name gives them, so that they are
            saved beside the adapters.
    """

    name: str
    weights_sha256: str | None


@dataclass(frozen=True)
class _Header:
    """The keys of trace.json that every estimator shares."""

    format: int
    task: str
    weights: Literal["adapter", "whole"]
    base_model: BaseModel
    files: dict[str, str]
    record_sha256: str


@dataclass(frozen=True)
class SavedModel(Generic[T]):
    """A saved folder whose files are those it was written with.

    Attributes:
        folder: where it is.
        weights: "adapter" or "whole".
        base_model: the backbone that it was tuned from.
        record: all of trace.json.
        content: what the estimator needs of it, typed.
    """

    folder: Path
    weights: Literal["adapter", "whole"]
    base_model: BaseModel
    record: JsonObject
    content: T


def is_saved_model(folder: str | Path) -> bool:
    """Return whether ``folder`` was written by `save_model`."""
    try:
        return (Path(folder).expanduser() / RECORD_FILE).is_file()
    except OSError:  # no file system holds such a name
        return False


def save_model(
    folder: str | Path,
    model: nn.Module,
    record: JsonObject,
    card: str,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a fine-tuned model, whole or not at all.

    Args:
        folder: new or empty.
        model: a PEFT model over a model with ``backbone`` and ``head``, or such a model itself.
        record: what the estimator needs to come back, in JSON's types or tuples; with ``task`` and ``base_model``.
        card: text of README.md.
        arrays: what the estimator needs besides; read again by `saved_arrays`.

    Raises:
        InputError: the folder is not empty or cannot be written, or the active adapters are not one set.
    """
    base = BaseModel(**record["base_model"])
    if isinstance(model, PeftModel):
        _require_saved_head(model)
    with staged_folder(folder) as staged:
        if isinstance(model, PeftModel):
            save_adapter(model, staged, base.name if base.weights_sha256 else BACKBONE_FOLDER)
            if base.weights_sha256 is None:
                _save_backbone(without_adapters(model), staged)
        else:
            _save_backbone(model, staged)
            if (head := getattr(model, "head", None)) is not None:
                save_file({key: tensor.contiguous() for key, tensor in head.state_dict().items()}, staged / HEAD_FILE)
        if arrays is not None:
            save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()}, staged / _ARRAYS_FILE)
        files = sorted(path for path in staged.rglob("*") if path.is_file())
        header = {
            "format": _FORMAT,
            "weights": "adapter" if isinstance(model, PeftModel) else "whole",
            "files": {str(path.relative_to(staged).as_posix()): file_digest(path) for path in files},
        }
        content = {name: _as_json(value) for name, value in {**record, **header}.items()}
        write_json(staged / RECORD_FILE, {**content, "record_sha256": _record_digest(content)})
        (staged / _CARD_FILE).write_text(card, encoding="utf-8")


def read_saved_model(folder: str | Path, task: str, content: Callable[[Mapping[str, object], str], T]) -> SavedModel[T]:
    """Read the record of a saved folder and check every file against it.

    Args:
        folder: from `save_model`.
        task: what the model must be for.
        content: checks and types what the estimator needs of the record; gets the name of the file for its errors.

    Raises:
        InputError: no such record, one of another task or format, or a file that is missing, damaged or exchanged.
    """
    source = Path(folder).expanduser()
    path = source / RECORD_FILE
    record = read_json_object(path)
    if isinstance(record.get("format"), int) and record["format"] > _FORMAT:
        raise InputError(
            f"{path} was written by a newer tracetune (format {record['format']}; this one reads {_FORMAT}). "
            "Upgrade: pip install -U tracetune."
        )
    header = from_json(_Header, record, str(path))
    if header.format != _FORMAT:
        raise InputError(f"Expected format {_FORMAT} in {path}, found {header.format}. Fine-tune the model again.")
    if header.task != task:
        raise InputError(f"Expected a model for {task} in {source}, found one for {shown(header.task)}.")
    typed = content(record, str(path))
    if header.record_sha256 != _record_digest(record):
        raise InputError(
            f"{path} is not as it was saved: its SHA-256 differs. Restore it from its source; of its entries only the "
            "name of base_model may be edited."
        )
    for name, digest in header.files.items():
        _check_file(source / name, digest)
    return SavedModel(source, header.weights, header.base_model, record, typed)


def load_model(
    saved: SavedModel[T],
    build: Callable[[Backbone], nn.Module],
    base: str | Path | Backbone | None = None,
) -> nn.Module:
    """Return the model of a saved folder, in evaluation mode; see `load_parts`."""
    return load_parts(saved, build, base, load_backbone)[0]


def load_parts(
    saved: SavedModel[T],
    build: Callable[[B], nn.Module],
    base: str | Path | B | None,
    load: Callable[[str | Path], B],
) -> tuple[nn.Module, B]:
    """Return the model of a saved folder, in evaluation mode, and the backbone in it.

    Args:
        saved: from `read_saved_model`.
        build: makes a model with ``backbone`` and ``head`` from a backbone, the head as it was configured.
        base: where the named backbone is now, if not where it was, or the backbone itself, which is copied. For a
            folder with the weights of a module of the user's own, that module.
        load: loads a backbone by name or folder.

    Raises:
        InputError: the backbone cannot be found or has other weights, or the saved weights do not fit.
    """
    backbone = _backbone_of(saved, base, load)
    model = build(backbone)
    if saved.weights == "adapter":
        return load_adapter(model, saved.folder), backbone
    if getattr(model, "head", None) is not None:
        try:
            model.get_submodule("head").load_state_dict(read_weights(saved.folder / HEAD_FILE))
        except RuntimeError as error:
            raise InputError(f"The head in {saved.folder} does not fit its configuration: {error}") from error
    return model.eval(), backbone


def saved_arrays(saved: SavedModel[T]) -> dict[str, np.ndarray]:
    """Return the arrays that were saved beside a model; none where it has none.

    Raises:
        InputError: the file is damaged or missing.
    """
    if _ARRAYS_FILE not in saved.record["files"]:
        return {}
    path = saved.folder / _ARRAYS_FILE
    _require_file(path)
    check_safetensors(path)
    return load_arrays(path)


def merged_model(model: PeftModel, record: JsonObject) -> tuple[nn.Module, JsonObject]:
    """Return a copy with the adapters folded into the backbone, and its record, whose backbone has no name any more."""
    base = BaseModel(record["base_model"]["name"], None)
    return merged(model), {**record, "weights": "whole", "base_model": asdict(base), "merged": True}


def base_of(name: str, weights_sha256: str, fitted: nn.Module, *, tuned_before: bool) -> BaseModel:
    """Return the base model of what was fitted from the backbone that ``name`` gave, with the digest of its weights.

    A backbone that was tuned before or trained in full has no name. Folders go by their absolute path, so that they are
    found from anywhere.
    """
    if tuned_before or not isinstance(fitted, PeftModel):
        return BaseModel(name, None)
    folder = Path(name).expanduser()
    return BaseModel(str(folder.absolute()) if folder.is_dir() else name, weights_sha256)


def _backbone_of(saved: SavedModel[T], base: str | Path | B | None, load: Callable[[str | Path], B]) -> B:
    expected = saved.base_model.weights_sha256
    if expected is None:
        if isinstance(base, AnyModule):
            return cast(B, base.with_weights(saved.folder / BACKBONE_FOLDER))  # a copy of the base
        if base is not None:
            raise InputError(f"{saved.folder} holds its own backbone: leave out {argument('base')}.")
        return load(saved.folder / BACKBONE_FOLDER)
    name = type(base).__name__ if isinstance(base, Backbone) else str(base or saved.base_model.name)
    try:
        backbone = copy.deepcopy(base) if isinstance(base, Backbone) else load(name)
    except InputError as error:
        raise InputError(
            f"The backbone that {saved.folder} was fine-tuned from cannot be loaded; say where it is now with "
            f"{argument('base')}. {error}"
        ) from error
    if weights_digest(backbone) != expected:
        raise InputError(
            f"{saved.folder} was fine-tuned from another backbone than {name!r} is now: the weights differ. "
            f"Give the original one with {argument('base')}."
        )
    return backbone


def _require_saved_head(model: PeftModel) -> None:
    """Refuse an adapter set without the head: the head it ran with would be saved nowhere."""
    head, name = getattr(model.get_base_model(), "head", None), model.active_adapter
    if head is not None and name not in getattr(head, "modules_to_save", {}):
        raise InputError(
            f"Expected the head in adapter set {name!r}: what it forecasts with is saved nowhere else. Give its "
            "LoraConfig modules_to_save=['head']."
        )


def _save_backbone(model: nn.Module, folder: Path) -> None:
    save = getattr(model.backbone, "save_pretrained", None)
    if save is None:
        raise InputError(
            f"{type(model.backbone).__name__} cannot be saved as a model folder. Fine-tune with adapters ('trace', "
            "'lora', 'linear_probe') and save without merging."
        )
    save(folder / BACKBONE_FOLDER)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"Expected the file {path}; it does not exist. Restore the folder from its source.")


def _check_file(path: Path, digest: str) -> None:
    _require_file(path)
    if file_digest(path) == digest:
        return
    if path.suffix == ".safetensors":
        check_safetensors(path)
    elif path.suffix == ".json":
        read_json_object(path)
    raise InputError(
        f"{path} is not the file that was saved with {RECORD_FILE}: its SHA-256 differs. Restore the folder from its "
        "source."
    )


def _as_json(value: object) -> object:
    """Return ``value`` as JSON would give it back: tuples as lists, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _record_digest(record: JsonObject) -> str:
    """Return the SHA-256 of a record, without its digest and the base model's name, which may be moved."""
    content = {key: value for key, value in record.items() if key != "record_sha256"}
    content["base_model"] = {**record["base_model"], "name": None}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
