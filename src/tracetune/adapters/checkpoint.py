"""The adapter folder: PEFT's files, so that plain PEFT loads it, and ``trace.json`` beside them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import PeftModel
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tracetune.base.errors import InputError
from tracetune.base.files import read_json_object, staged_folder, write_json

TRACE_FILE = "trace.json"
FULL_WEIGHTS = "model.safetensors"


@contextmanager
def new_adapter_folder(
    folder: str | Path, model: nn.Module, base_name: str, trace: Mapping[str, Any], card: str
) -> Iterator[Path]:
    """Write a fine-tuned model to ``folder``; more files can be added inside the block. Whole or not at all.

    A PEFT model gives adapter_config.json and adapter_model.safetensors; any other model, fine-tuned in
    full, model.safetensors. ``trace`` becomes trace.json, with the hash of the weights; ``card`` README.md.

    Raises:
        InputError: the folder exists and is not empty.
    """
    with staged_folder(folder) as temporary:
        weights = (
            _save_peft(model, temporary, base_name) if isinstance(model, PeftModel) else _save_full(model, temporary)
        )
        write_json(temporary / TRACE_FILE, {**trace, "weights_sha256": file_digest(weights)})
        (temporary / "README.md").write_text(card, encoding="utf-8")
        yield temporary


def read_trace(folder: str | Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """The record of a saved model, with at least the entries ``needed``.

    Raises:
        InputError: ``folder`` holds no trace.json or one that lacks an entry, or its weights are damaged or
            not those it was saved with.
    """
    source = Path(folder)
    if not (source / TRACE_FILE).is_file():
        raise InputError(f"Expected a folder saved by tracetune, with {TRACE_FILE} in it; {source} has none.")
    trace = read_json_object(source / TRACE_FILE)
    if absent := [name for name in needed if name not in trace]:
        raise InputError(f"{source / TRACE_FILE} has no {', '.join(absent)}. Restore the folder from its source.")
    weights = weights_path(source)
    check_safetensors(weights)
    if weights.name == SAFETENSORS_WEIGHTS_NAME:
        read_json_object(source / CONFIG_NAME)
    if trace.get("weights_sha256") != file_digest(weights):
        raise InputError(
            f"{weights} is not the file that {source / TRACE_FILE} was written with: its SHA-256 differs. "
            "Restore the folder from its source."
        )
    return trace


def is_saved_model(folder: str | Path) -> bool:
    """Whether ``folder`` was written by :func:`new_adapter_folder`."""
    return (Path(folder) / TRACE_FILE).is_file()


def load_weights(model: nn.Module, folder: str | Path) -> nn.Module:
    """Put the saved weights on a freshly built base model: a PEFT model, or the model itself if saved in full."""
    source = Path(folder)
    if (source / CONFIG_NAME).is_file():
        return PeftModel.from_pretrained(model, str(source)).eval()
    try:
        model.load_state_dict(load_file(source / FULL_WEIGHTS))
    except RuntimeError as error:
        raise InputError(f"The weights in {source} do not fit the base model: {error}") from error
    return model.eval()


def weights_path(folder: Path) -> Path:
    """The one weights file of a saved model.

    Raises:
        InputError: there is none.
    """
    for name in (SAFETENSORS_WEIGHTS_NAME, FULL_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"Expected {SAFETENSORS_WEIGHTS_NAME} or {FULL_WEIGHTS} in {folder}; neither is there.")


def check_safetensors(path: Path) -> None:
    """Refuse a damaged or truncated safetensors file with a clear error."""
    try:
        with safe_open(path, framework="pt") as tensors:
            tensors.keys()
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or truncated ({error}). Restore it from its source.") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _save_peft(model: PeftModel, folder: Path, base_name: str) -> Path:
    config = model.peft_config[model.active_adapter]
    config.base_model_name_or_path = base_name
    try:
        model.save_pretrained(str(folder), save_embedding_layers=False)
    finally:
        config.base_model_name_or_path = None  # see ForecastModel: no name while training
    return folder / SAFETENSORS_WEIGHTS_NAME


def _save_full(model: nn.Module, folder: Path) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, folder / FULL_WEIGHTS)
    return folder / FULL_WEIGHTS
