"""Requirements of selection on a model and its training, checked before the first step."""

from collections.abc import Iterable, Mapping

from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from tracetune.base.errors import InputError
from tracetune.selection.layers import adapter_parameters


def check_trained(layers: Mapping[str, LoraLayer], closed: Iterable[str], optimizer: Optimizer) -> None:
    """Refuse modules that were closed when the optimizer was built: it could never train them.

    Raises:
        InputError: such a module.
    """
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for name in closed:
        if not any(id(parameter) in known for parameter in adapter_parameters(layers[name]).values()):
            raise InputError(
                f"Module {name!r} was closed when the optimizer was built, so it cannot be trained. "
                "Open all modules before building the Trainer: gates.open(gates.closed_names)."
            )


def check_unused_parameters(allowed: bool) -> None:
    """Refuse DistributedDataParallel that waits for the gradients of closed modules.

    Args:
        allowed: whether it looks for parameters without gradients.

    Raises:
        InputError: it does not.
    """
    if not allowed:
        raise InputError(
            "Closed modules get no gradients, and DistributedDataParallel would fail at the first step with one. "
            "Set find_unused_parameters=True (in TrainingArguments: ddp_find_unused_parameters=True)."
        )


def check_sharding(kind: str | None) -> None:
    """Refuse training whose weights or gradients are spread over processes: gates, scores and deletion need them whole.

    Args:
        kind: what spreads them, None where nothing does.

    Raises:
        InputError: something does.
    """
    if kind is not None:
        raise InputError(
            f"TRACE needs the weights whole in every process, and {kind} spreads them or their gradients. Train with "
            "DistributedDataParallel (torchrun or accelerate launch without FSDP and DeepSpeed; no fsdp or deepspeed "
            "in TrainingArguments): only the adapters train, so that their optimizer state is small."
        )


def check_undisturbed(model: nn.Module, layers: Mapping[str, LoraLayer], changed: Iterable[str]) -> None:
    """Refuse LoRA modules that something else has replaced, merged, opened or closed since selection saw them.

    Args:
        model: as it is now.
        layers: the gated layers, as selection knows them.
        changed: modules that selection left open and are closed, or the other way round.

    Raises:
        InputError: there are such modules.
    """
    present = {id(module) for module in model.modules()}
    gone = [name for name, layer in layers.items() if id(layer) not in present or layer.merged]
    if names := [*gone, *changed]:
        raise InputError(
            f"Expected LoRA modules that only TraceCallback opens, closes and replaces, found {len(names)} changed by "
            f"something else (first: {names[0]!r}). Remove the callback that does it, or put it before TraceCallback, "
            "so that its changes come before the selection begins."
        )


def check_wrapper(model: nn.Module) -> None:
    """Refuse a model inside DistributedDataParallel that does not look for unused parameters.

    Raises:
        InputError: see `check_unused_parameters`.
    """
    if isinstance(model, DistributedDataParallel):
        check_unused_parameters(model.find_unused_parameters and not model.static_graph)
