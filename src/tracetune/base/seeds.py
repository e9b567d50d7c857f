"""One seed for every random number generator in use."""

import random

import numpy as np
import torch

from tracetune.base.errors import InputError, argument


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices) with ``seed``.

    Raises:
        InputError: NumPy takes seeds of 32 bits only.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"Expected {argument('seed')} from 0 to {2**32 - 1}, found {seed}.")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still draw from the legacy generator
    torch.manual_seed(seed)
