"""One run at a time in a folder that keeps its state: the second one is refused before it touches anything."""

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType

from tracetune.base.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "run.lock"


class FolderLock:
    """Hold a folder, which no other run may use until it is released; as a context manager, at the end of the block.

    The lock is the operating system's, on the file run.lock, which names process and host. It goes with its process,
    however that ends, so that no lock is ever stale. Where there are no such locks (Windows, some network file
    systems) nothing is refused.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._descriptor: int | None = None

    def hold(self, folder: str | Path) -> "FolderLock":
        """Lock ``folder``, which is made where it does not exist; without effect where this lock holds it already.

        Raises:
            InputError: another run has it.
        """
        path = Path(folder).resolve() / LOCK_FILE
        if fcntl is None or path == self._path:
            return self
        self.release()
        path.parent.mkdir(parents=True, exist_ok=True)
        while self._descriptor is None:
            self._path, self._descriptor = path, _locked(path)
        return self

    def release(self) -> None:
        """Release the folder for other runs."""
        if self._descriptor is None or self._path is None:
            return
        self._path.unlink(missing_ok=True)  # while it is locked: who opened it before finds that it is gone
        os.close(self._descriptor)
        self._path = self._descriptor = None

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _locked(path: Path) -> int | None:
    """Return the descriptor of the locked file; None if the run that had it has just removed it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
        os.close(descriptor)
        raise InputError(
            f"{path.parent} is in use by another run ({holder}), and two at once would spoil each other's state. Wait "
            "until it has ended, stop it, or choose another folder."
        ) from error
    except OSError:  # a file system without locks
        return descriptor
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            return descriptor
    os.close(descriptor)
    return None
