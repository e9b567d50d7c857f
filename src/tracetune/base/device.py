"""Which device to compute on, and how much memory it has left."""

import torch

from tracetune.base.errors import InputError


def resolve_device(name: str = "auto") -> torch.device:
    """Device for ``name``; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: PyTorch does not know the name, or has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"Expected a device such as 'cpu', 'cuda' or 'auto', found {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("Device 'cuda' was asked for, but PyTorch finds no GPU here. Use 'cpu' or 'auto'.")
    return device
