"""The command line as a process: what it imports, how its threads wait, how it is started."""

import os
import subprocess
import sys

import pytest

from tracetune.cli import main

HEAVY = ("torch", "transformers", "peft", "pandas", "scipy", "sklearn", "matplotlib", "statsmodels")
LIGHT = [
    (["--help"], 0),
    (["--version"], 0),
    (["models"], 0),
    (["fintune"], 2),
    (["finetune", "--horizon", "3"], 2),
    (["finetune", "--help"], 0),
    (["finetune", "x.csv"], 2),
]


def test_what_needs_no_model_imports_none() -> None:
    """Nor does the package, or ask for a network, or say anything, when it is imported; public names come when used."""
    code = f"""
import socket, sys
socket.socket.connect = None
import tracetune
from tracetune.cli import main
print("IMPORTED", [name for name in {HEAVY!r} if name in sys.modules])
for arguments, _ in {LIGHT!r}:
    sys.argv = ["tracetune", *arguments]
    try:
        main()
    except SystemExit as stopped:
        print("STATUS", arguments, stopped.code or 0, [name for name in {HEAVY!r} if name in sys.modules])
print("PUBLIC", [name for name in dir(tracetune) if not hasattr(tracetune, name)])
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.startswith("IMPORTED []\n")
    for arguments, status in LIGHT:
        assert f"STATUS {arguments} {status} []\n" in finished.stdout
    arguments, status = LIGHT[-1]
    assert finished.stdout.endswith(f"STATUS {arguments} {status} []\nPUBLIC []\n")


def test_threads_wait_without_spinning_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(sys, "argv", ["tracetune", "models"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    with pytest.raises(SystemExit, match="0"):
        main()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_the_package_runs_as_the_command_line() -> None:
    command = [sys.executable, "-m", "tracetune"]
    helped = subprocess.run([*command, "models", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: python -m tracetune models" in helped.stdout
    refused = subprocess.run([*command, "predictt"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Did you mean 'predict'" in refused.stderr
