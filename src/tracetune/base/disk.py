"""Recognise errors of a full disk, whichever library raised them."""

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors and PyTorch raise errors of their own; the latter's say that a write failed, not why.
_TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "PytorchStreamWriter failed writing",
    "iostream error",
)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether ``error``, or what it was raised from, says that there is no room for a file."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, Exception) and any(text in str(error) for text in _TEXTS):
            return True
        error = error.__cause__ or error.__context__
    return False
