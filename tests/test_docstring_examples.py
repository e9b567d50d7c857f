"""Examples in docstrings run as they stand, and every public name has one."""

import doctest
import importlib
from pathlib import Path

import pytest

import tracetune

SOURCE = Path(tracetune.__file__).parent
MODULES = [
    ".".join(("tracetune", *path.relative_to(SOURCE).with_suffix("").parts))
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_they_stand(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", tracetune.__all__)
def test_every_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (getattr(tracetune, name).__doc__ or "")
