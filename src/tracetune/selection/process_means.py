"""Means over the processes that train together."""

import numpy as np
import torch
import torch.distributed as dist


def mean_over_processes(values: np.ndarray) -> np.ndarray:
    """Return the mean of ``values`` over the training processes; the values themselves where there is one."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return values
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    total = torch.as_tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return (total / dist.get_world_size()).cpu().numpy()
