"""The command line in the process of a test: with its exit status and messages, or with the errors themselves."""

import shlex
import sys

import pytest

from tracetune.cli import app
from tracetune.cli.task_choice import chosen_task

QUICK = ["--head-epochs", "1", "--num-train-epochs", "1", "--max-steps", "3", "--beta", "2", "--device", "cpu"]


def status(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit status of ``tracetune ARGUMENTS``."""
    monkeypatch.setattr(sys, "argv", ["tracetune", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        app.main()
    return int(stopped.value.code or 0)


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Standard error of a command that must end with status 2."""
    assert status(monkeypatch, *arguments) == 2
    return " ".join(capsys.readouterr().err.split())


def run(line: str) -> None:
    """Run a command; its errors are raised."""
    name, *flags = shlex.split(line)
    app.build_command(name, chosen_task(name, flags)).main(flags, standalone_mode=False)
