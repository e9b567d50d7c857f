"""A full disk is recognised in the errors of every library that writes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tracetune.base.disk import is_disk_full

_WRITES = {
    "safetensors": "from safetensors.torch import save_file; save_file({'a': torch.zeros(90_000)}, path)",
    "torch": "torch.save({'a': torch.zeros(90_000)}, path)",
    "text": "open(path, 'w').write('a' * 400_000)",
}


@pytest.mark.parametrize("library", _WRITES)
def test_no_room_for_a_file(tmp_path: Path, library: str) -> None:
    """A limit on the size of a file stands in for a full disk."""
    code = (
        "import signal, torch\nfrom tracetune.base.disk import is_disk_full\n"
        f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN); path = {str(tmp_path / 'file')!r}\n"
        f"try: {_WRITES[library]}\nexcept Exception as error: print(is_disk_full(error), type(error))"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit)
    assert found.stdout.startswith("True"), found.stdout + found.stderr


def test_other_errors_are_none() -> None:
    for error in (None, OSError(13, "Permission denied"), RuntimeError("mat1 and mat2 shapes"), ValueError("")):
        assert not is_disk_full(error)
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as cause:
            raise RuntimeError("cannot save") from cause
    except RuntimeError as error:
        assert is_disk_full(error)
