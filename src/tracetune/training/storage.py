"""Storage for large tensors: memory first, then memory-mapped files, within a limit in bytes."""

import logging
import math
import os
import shutil
import tempfile
from pathlib import Path

import psutil
import torch
from torch import Tensor

from tracetune.base.disk import is_disk_full
from tracetune.base.leftovers import temporary_name

logger = logging.getLogger(__name__)


class Storage:
    """Hands out tensors within a limit, the first of them in memory.

    Files are deleted from their folder as soon as they are mapped: nothing is left behind, however the process ends.

    Args:
        limit: bytes in all; None for a third of the memory that is free now.
        memory: bytes of it that may lie in memory; None for half of the memory that is free now. Memory is taken when
            it is written to, not before.
        folder: where files go, made if there are to be any; None for the system's folder of temporary files.
    """

    def __init__(self, limit: int | None = None, memory: int | None = None, folder: str | Path | None = None) -> None:
        available = psutil.virtual_memory().available
        self.limit = available // 3 if limit is None else limit
        self._memory = min(self.limit, available // 2 if memory is None else memory)
        self._file = self.limit - self._memory
        self._folder = Path(tempfile.gettempdir() if folder is None else folder)
        if self._file > 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = min(self._file, shutil.disk_usage(self._folder).free // 2)

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor | None:
        """Return a tensor without values, in memory or in a file; None where there is room for it in neither."""
        needed = math.prod(shape) * dtype.itemsize
        if needed <= self._memory:
            self._memory -= needed
            return torch.empty(shape, dtype=dtype)
        if needed <= self._file:
            self._file -= needed
            return self._mapped(*shape, dtype=dtype)
        return None

    def rows(self, count: int, *shape: int, dtype: torch.dtype) -> list[Tensor]:
        """Return up to ``count`` rows of a shape, as there is room for them: a tensor in memory, then one in a file."""
        row_bytes = math.prod(shape) * dtype.itemsize
        parts = []
        for room in (self._memory, self._file):
            fitting = min(count, room // row_bytes)
            if fitting:
                part = self.empty(fitting, *shape, dtype=dtype)
                if part is None:  # the disk has filled since its room was counted
                    break
                parts.append(part)
                count -= fitting
        return parts

    def _mapped(self, *shape: int, dtype: torch.dtype) -> Tensor | None:
        path = self._folder / temporary_name()
        needed = math.prod(shape) * dtype.itemsize
        try:
            with path.open("wb") as file:
                _allocate(file.fileno(), needed)
            tensor = torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=dtype)
        except OSError as error:
            if not is_disk_full(error):
                raise
            return None
        finally:
            path.unlink(missing_ok=True)
        logger.info("%.2f GB of cached features are kept in a file in %s.", tensor.nbytes / 1e9, self._folder)
        return tensor.view(shape)


def _allocate(file: int, size: int) -> None:
    """Take the room on disk now: a mapped file that finds none later ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
