"""Files of a PEFT model: the active adapter set, and no other, in the layout that plain PEFT loads."""

import copy
import tempfile
import warnings
from pathlib import Path

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open
from torch import nn

from tracetune.base.errors import InputError

ADAPTER_FILES = (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME)


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """Write adapter_config.json and adapter_model.safetensors of the adapter set that is active.

    Args:
        model: with one active adapter set, whatever its name; PEFT loads it as "default".
        folder: exists.
        base_name: what the configuration calls the base model.

    Raises:
        InputError: what is active is not one adapter set as it stands: several, disabled, or merged layers.
    """
    _require_one_active(model)
    name = model.active_adapters[0]
    config = model.peft_config[name]
    config.base_model_name_or_path = base_name
    try:
        with tempfile.TemporaryDirectory(dir=folder) as staged, warnings.catch_warnings():
            # AdaLoRA's layers of rank 0 look to PEFT like weights that are spread over processes
            warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape")
            # PEFT puts a set of another name into a subfolder
            model.save_pretrained(staged, selected_adapters=[name], save_embedding_layers=False)
            for file in ADAPTER_FILES:
                (Path(staged) / ("" if name == "default" else name) / file).replace(folder / file)
    finally:
        config.base_model_name_or_path = None  # see ForecastModel: no name while training


def load_adapter(model: nn.Module, folder: Path) -> PeftModel:
    """Return ``model`` with the adapter set of a folder on it, in evaluation mode.

    Raises:
        InputError: the files do not fit the model, or this version of PEFT cannot read them.
    """
    try:
        with warnings.catch_warnings():  # an adapter that lacks weights would run with random ones
            warnings.filterwarnings("error", "Found missing adapter keys")
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # AdaLoRA without any rank left
            return PeftModel.from_pretrained(model, str(folder)).eval()
    except Exception as error:  # PEFT does not check its files: an edited one raises any of these
        raise InputError(f"The adapter in {folder} does not fit its base model: {error}") from error


def without_adapters(model: PeftModel) -> nn.Module:
    """Return a copy of the base model with the weights it had before the adapters, and the head that was trained."""
    _require_one_active(model)
    return copy.deepcopy(model).unload()


def merged(model: PeftModel) -> nn.Module:
    """Return a copy of the model whose active adapters are folded into its weights.

    Raises:
        InputError: the sum is not finite.
    """
    try:
        return copy.deepcopy(model).merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise InputError(f"The adapters cannot be merged: {error}") from error


def check_safetensors(path: Path) -> None:
    """Refuse a damaged or truncated safetensors file with a clear error."""
    try:
        with safe_open(path, framework="pt") as tensors:
            tensors.keys()
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or truncated ({error}). Restore it from its source.") from error


def _require_one_active(model: PeftModel) -> None:
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    active = model.active_adapters
    if len(active) != 1:
        raise InputError(
            f"Expected one active adapter set, found {len(active)} ({', '.join(active)}). "
            "Call set_adapter(name) on the model, or merge them with its add_weighted_adapter."
        )
    if any(layer.disable_adapters for layer in layers):
        raise InputError("Expected the adapters to be in use, found some disabled: enable them on the model first.")
    if any(layer.merged for layer in layers):
        raise InputError(
            "Expected adapters beside the weights, found some merged: call unmerge_adapter() on the model."
        )
