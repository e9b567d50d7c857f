"""Features of windows, in which normal windows lie near each other: their shape, and their level and spread."""

from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from tracetune.backbones.backbone import Backbone
from tracetune.base.module_device import module_device
from tracetune.tasks.anomaly.embedding_memory import EmbeddingMemory
from tracetune.tasks.anomaly.window_embeddings import embedded, resampled

_CHUNK = 256
_RAW_STEPS = 64
_SHAPE_FLOOR = 0.05  # deviations of the series: windows that vary less are near to flat
_LEVEL_FLOOR = 0.1  # deviations of the series: the spread of a window that counts as none


class WindowFeatures(Protocol):
    """A map from windows to rows that distances are taken between.

    Attributes:
        saved: whether the rows of what was learned are saved with it, since they take long to compute.
    """

    saved: ClassVar[bool]

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Return features [K, E] of windows [K, W], in units of the normal part's deviation around its mean."""
        ...


class EmbeddedShape:
    """Patch embeddings of a backbone, which sees each window by itself, normalised: level and scale do not count.

    One bank costs the same whatever the width, see `resampled`.
    """

    saved: ClassVar[bool] = True

    def __init__(self, backbone: Backbone, memory: EmbeddingMemory | None = None) -> None:
        self.backbone = backbone
        self._memory = EmbeddingMemory() if memory is None else memory

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Return unit vectors [K, N D]."""
        return self._memory.embedded(windows, self._embedded)

    def _embedded(self, windows: np.ndarray) -> Tensor:
        device = module_device(self.backbone)
        rows = []
        with torch.inference_mode():
            for start in range(0, len(windows), _CHUNK):
                part = torch.as_tensor(windows[start : start + _CHUNK], dtype=torch.float32, device=device)
                rows.append(embedded(self.backbone, resampled(part, self.backbone)).cpu())
        return torch.cat(rows)


class RawShape:
    """Windows brought to mean 0 and deviation 1, at 64 of their steps: what a matrix profile compares."""

    saved: ClassVar[bool] = False

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Return vectors [K, 64] of about unit length; shorter windows have some of their steps twice."""
        picked = np.linspace(0, windows.shape[1] - 1, _RAW_STEPS).round().astype(int)
        deviation = np.maximum(windows.std(1, keepdims=True), _SHAPE_FLOOR)
        shapes = (windows[:, picked] - windows.mean(1, keepdims=True)) / deviation
        return torch.as_tensor(shapes / np.sqrt(len(picked)), dtype=torch.float32)


class LevelFeatures:
    """Mean, log deviation, highest and lowest value of each window: what instance normalisation takes away."""

    saved: ClassVar[bool] = False

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Return features [K, 4]."""
        columns = (
            windows.mean(1),
            np.log(windows.std(1) + _LEVEL_FLOOR),
            windows.max(1),
            windows.min(1),
        )
        return torch.as_tensor(np.stack(columns, 1), dtype=torch.float32)
