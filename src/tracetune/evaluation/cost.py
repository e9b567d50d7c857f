"""Cost of a method: parameters, memory, time, floating-point operations."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters.

    Attributes:
        total: all of the module, with the untrained copy that PEFT keeps of a trained head.
        trainable: those that training changes.
        head: the trainable ones of the head.
        adapters: the trainable ones of adapter layers.
    """

    total: int
    trainable: int
    head: int
    adapters: int


def count_parameters(module: nn.Module, head: nn.Module | None = None) -> ParameterCounts:
    """Count the parameters of ``module``; shared ones count once.

    Args:
        module: any module, with PEFT adapters or without.
        head: the part of it whose parameters are counted as head.
    """
    adapters = {id(parameter) for parameter in _adapter_parameters(module)}
    heads = set() if head is None else {id(parameter) for parameter in head.parameters()}
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return ParameterCounts(
        total=sum(parameter.numel() for parameter in module.parameters()),
        trainable=sum(parameter.numel() for parameter in trainable),
        head=sum(parameter.numel() for parameter in trainable if id(parameter) in heads),
        adapters=sum(parameter.numel() for parameter in trainable if id(parameter) in adapters),
    )


def peak_memory_bytes(device: torch.device | str = "cpu") -> int:
    """Return the highest memory use so far: resident set of this process, or what PyTorch allocated on a CUDA device.

    Neither goes down again: to compare methods, measure each in a new process.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; its getrusage would also know what the parent process held when it started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # only on Unix

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Stopwatch:
    """Wall-clock seconds of a ``with`` block; used again, it adds up.

    Args:
        device: a CUDA device is waited for at both ends, since its work is only queued.

    Attributes:
        seconds: time spent in finished blocks.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.seconds = 0.0
        self._device = torch.device(device)

    def __enter__(self) -> "Stopwatch":
        self._synchronise()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._synchronise()
        self.seconds += time.perf_counter() - self._started

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def count_flops(function: Callable[..., object], *arguments: object, **keywords: object) -> int:
    """Return floating-point operations of the matrix products in one call, a multiply-add counted as two.

    Attention is computed step by step for this, because the counter does not know the fused kernels of the CPU.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function(*arguments, **keywords)
    return counter.get_total_flops()


def _adapter_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    for layer in module.modules():
        if isinstance(layer, BaseTunerLayer):
            for name in layer.adapter_layer_names:
                yield from getattr(layer, name).parameters()
