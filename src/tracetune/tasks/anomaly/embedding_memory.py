"""Embeddings of windows that are remembered for a while, so that the same window is embedded once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_MOST_NUMBERS = 2**24  # 64 MiB


class EmbeddingMemory:
    """Embeddings of windows by one backbone; nothing is remembered but inside `open`."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Tensor] | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Remember what is embedded inside the context, as far as 64 MiB hold it.

        For series that differ in few steps, and a backbone whose weights stay as they are.
        """
        self._rows = {}
        try:
            yield
        finally:
            self._rows = None

    def embedded(self, windows: np.ndarray, embed: Callable[[np.ndarray], Tensor]) -> Tensor:
        """Return embeddings [K, E] of windows [K, W]; those that are not remembered come from ``embed``."""
        if self._rows is None:
            return embed(windows)
        keys = [window.tobytes() for window in windows]
        places = {key: place for place, key in enumerate(keys) if key not in self._rows}
        new = embed(windows[list(places.values())]) if places else ()
        rows = self._rows | dict(zip(places, new, strict=True))
        found = torch.stack([rows[key] for key in keys])
        if len(rows) * found.shape[1] <= _MOST_NUMBERS:
            self._rows.update(rows)
        return found
