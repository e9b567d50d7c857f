"""Choose the device to compute on, and tell whether it computes in bfloat16."""

import torch

from tracetune.base.errors import InputError, shown


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device for ``name``; ``"auto"`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: PyTorch does not know the name, or has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"Expected a device such as 'cpu', 'cuda' or 'auto', found {shown(name)}.") from error
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:  # each kind of device has its own
        raise InputError(
            f"Device {str(device)!r} was asked for, but PyTorch finds no such device here. Use 'cpu' or 'auto'."
        ) from error
    if device.type == "meta":
        raise InputError("Expected a device that computes, found 'meta'. Use 'cpu' or 'auto'.")
    return device


def supports_bf16(device: torch.device | str) -> bool:
    """Return whether a device has instructions for bfloat16; elsewhere it is emulated, or not known to be there.

    True for CUDA devices of capability 8.0 and above, and for CPUs with AVX512_BF16, AMX or ARM's bfloat16.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_supports_bf16()


def _cpu_supports_bf16() -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # older versions of PyTorch tell of x86 only
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    found = capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
