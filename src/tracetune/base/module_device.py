"""The device that a module is on."""

import torch
from torch import nn


def module_device(module: nn.Module) -> torch.device:
    """Return the device that a module's parameters are on; the CPU where it has none."""
    return next(module.parameters(), torch.zeros(0)).device
