"""A digest of the values of a data set, which identifies the data of a run."""

import hashlib

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from tracetune.data.batch_source import BatchSource
from tracetune.data.windows import Windows

_ROWS = 1024


def data_digest(source: BatchSource) -> str:
    """Return the SHA-256 of all values, masks and borders of a data set, in its order.

    Windows are hashed by their series, rows of another data set by that set and their indices; any other data set is
    read once.
    """
    digest = hashlib.sha256()
    if isinstance(source, Windows):
        for series in source.values:
            _add(digest, series)
        for borders in source.borders():
            _add(digest, borders)
    elif isinstance(source, Subset):
        digest.update(data_digest(source.dataset).encode())
        _add(digest, np.asarray(source.indices, dtype=np.int64))
    else:
        size = len(source)
        for start in range(0, size, _ROWS):
            batch = source.__getitems__(list(range(start, min(start + _ROWS, size))))
            for name, tensor in sorted(batch.items()):
                digest.update(name.encode())
                _add(digest, tensor)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", values: np.ndarray | Tensor) -> None:
    array = np.ascontiguousarray(values.cpu().numpy() if isinstance(values, Tensor) else values)
    digest.update(f"{array.dtype}{array.shape}".encode())
    digest.update(array.tobytes())
