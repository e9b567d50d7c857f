"""LoRA layers of a PEFT model: names, places, parameters, and the configuration that names them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import MultiheadAttention, ParamWrapper
from peft.utils.constants import DUMMY_TARGET_MODULES
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def lora_modules(model: nn.Module) -> dict[str, LoraLayer]:
    """Return the layers of ``model`` with an active LoRA adapter of linear A and B, by their names in the base model.

    Names carry no prefix of ``PeftModel``, ``DistributedDataParallel`` or ``torch.compile``, so they fit
    ``LoraConfig.target_modules`` as they are. LoRA on embeddings, convolutions, bare parameters and
    ``nn.MultiheadAttention`` (whose forward pass never calls ``lora_B``) is left out and not changed.
    """
    named = dict(base_model(model).named_modules())
    merging = tuple(f"{name}." for name, module in named.items() if isinstance(module, MultiheadAttention))
    return {name: module for name, module in named.items() if _is_gateable(module) and not name.startswith(merging)}


class ModulePlace(NamedTuple):
    """Place of a module in a model, by its name.

    Attributes:
        stem: what stands before the number of the block; the parent's name where there is no number.
        block: the first number in the name, -1 where there is none.
        kind: what stands after it. For a module that is itself a numbered part, the name of the list.
    """

    stem: str
    block: int
    kind: str

    @property
    def depth(self) -> int:
        """Return the number of the block, as far as a model has blocks: 0 otherwise."""
        return max(self.block, 0)


def module_place(name: str) -> ModulePlace:
    """Return the place of a name; ``encoder.block.3.layer.0.SelfAttention.q`` is in block 3."""
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    if found is None:
        stem, _, kind = name.rpartition(".")
        return ModulePlace(stem, -1, kind)
    stem = name[: found.start()]
    return ModulePlace(stem, int(found.group(1)), name[found.end() :] or stem.rpartition(".")[2])


def adapter_parameters(layer: LoraLayer) -> dict[str, nn.Parameter]:
    """Return parameters of the active adapters of a LoRA layer (A, B, and DoRA's magnitudes), by name."""
    return {
        f"{kind}.{adapter}.{key}": parameter
        for kind in layer.adapter_layer_names
        for adapter, module in getattr(layer, kind, {}).items()
        if adapter in layer.active_adapters
        for key, parameter in ([("", module)] if isinstance(module, nn.Parameter) else module.named_parameters())
    }


def active_b(layer: LoraLayer) -> list[nn.Module]:
    """Return the linear ``lora_B`` of each active adapter of a layer."""
    pairs = [(layer.lora_A[name], layer.lora_B[name]) for name in layer.active_adapters if name in layer.lora_B]
    return [b for a, b in pairs if isinstance(a, nn.Linear) and isinstance(b, nn.Linear)]


def adapter_names(layer: LoraLayer) -> list[str]:
    """Return names of all adapters of a layer, active or not."""
    return [*layer.lora_A.keys(), *layer.lora_embedding_A.keys()]


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside ``DistributedDataParallel`` and ``torch.compile``."""
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def base_model(model: nn.Module) -> nn.Module:
    """Return the model that module names refer to: without wrappers and without ``PeftModel``."""
    model = unwrapped(model)
    return model.get_base_model() if isinstance(model, PeftModel) else model


@contextmanager
def enabled(layer: LoraLayer) -> Iterator[None]:
    """Let a closed layer compute its adapter inside the context; what is trainable stays as it is."""
    flags = {parameter: parameter.requires_grad for parameter in adapter_parameters(layer).values()}
    layer.enable_adapters(True)
    for parameter, flag in flags.items():
        parameter.requires_grad_(flag)
    try:
        yield
    finally:
        layer.enable_adapters(False)


def retarget(base: nn.Module, configs: dict[str, LoraConfig]) -> None:
    """Point each adapter's configuration at the layers that are left, by full name."""
    for adapter, config in configs.items():
        kept = [
            name
            for name, module in base.named_modules()
            if isinstance(module, LoraLayer)
            and not isinstance(module, ParamWrapper)
            and adapter in adapter_names(module)
            and ".base_layer." not in name  # PEFT's own, inside an adapted nn.MultiheadAttention
        ]
        config.layers_to_transform = config.layers_pattern = None
        # PEFT takes a name in the list for the end of a longer one, too; a regular expression must match in full.
        others = [name for name, _ in base.named_modules() if name not in kept]
        if any(other.endswith(f".{name}") for other in others for name in kept):
            config.target_modules = "|".join(re.escape(name) for name in kept)
        else:
            config.target_modules = kept or DUMMY_TARGET_MODULES
        adapted = [name for name, module in base.named_modules() if isinstance(module, LoraLayer)]
        config.rank_pattern = _matching(config.rank_pattern, adapted)
        config.alpha_pattern = _matching(config.alpha_pattern, adapted)


def _matching(pattern: dict[str, int] | None, names: list[str]) -> dict[str, int]:
    """Return the entries of a pattern that match one of the names, as PEFT matches them; it warns of others."""
    keys = [key for key in pattern or {} if any(re.match(rf"(.*\.)?({key})$", name) for name in names)]
    return {} if pattern is None else {key: pattern[key] for key in keys}


def _is_gateable(module: nn.Module) -> bool:
    if not isinstance(module, LoraLayer) or isinstance(module, (MultiheadAttention, ParamWrapper)):
        return False
    return bool(active_b(module))
