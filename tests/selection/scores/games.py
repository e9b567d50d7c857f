"""Losses of gates whose importance has a closed form."""

import numpy as np
import torch
from torch import Tensor

LINEAR = torch.tensor([-1.0, -0.5, 0.25, -0.1, 0.0])
CURVED = torch.tensor(
    [
        [0.6, 0.8, 0.0, 0.1, 0.0],
        [0.8, 0.2, -0.3, 0.0, 0.0],
        [0.0, -0.3, 0.5, 0.4, 0.0],
        [0.1, 0.0, 0.4, -0.2, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def quadratic(gates: Tensor) -> Tensor:
    """Losses c g + g Q g / 2 of gates [B, 5]; the last module does nothing, the third one harms."""
    return gates @ LINEAR + ((gates @ CURVED) * gates).sum(1) / 2


def quadratic_importance(q: float) -> np.ndarray:
    """phi_m = -(c_m + Q_mm / 2 + q * sum of Q_mj over j != m)."""
    diagonal = CURVED.diagonal()
    return -(LINEAR + diagonal / 2 + q * (CURVED.sum(1) - diagonal)).double().numpy()


def product(gates: Tensor) -> Tensor:
    """Multilinear: three modules that only help together, and one that helps alone."""
    return 1 - gates[:, 0] * gates[:, 1] * gates[:, 2] - 0.3 * gates[:, 3]
