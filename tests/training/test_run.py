"""The folder of a run is its own, and after a signal the run says what is in it."""

import signal
import tempfile
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.signals import Stopped
from tracetune.training.run import Run

IDENTITY = {"learning_rate": 0.003}


def test_without_a_folder_there_is_one_that_disappears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Run.at(None) as run:
        run.claim(IDENTITY)
        assert run.folder.parent == tmp_path
        assert run.part("head").folder == run.folder / "head"
        (run.folder / "checkpoint-3").mkdir()
    with pytest.raises(Stopped), Run.at(None) as run:
        raise Stopped(signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []


def test_a_run_finds_its_own_checkpoints_and_no_others(tmp_path: Path) -> None:
    with Run.at(tmp_path) as run:
        run.claim(IDENTITY)
        (tmp_path / "lora" / "checkpoint-3").mkdir(parents=True)
    other = {"learning_rate": 1e-5}
    with pytest.raises(InputError, match=r"learning_rate 0.003 there, 1e-05 here"), Run.at(tmp_path) as run:
        run.claim(other)
    with Run.at(tmp_path, restart=True) as run:
        run.claim(other)
        assert list((tmp_path / "lora").iterdir()) == []


def test_two_runs_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Run.at(tmp_path) as first:
        first.claim(IDENTITY)
        first.claim(IDENTITY)
        with pytest.raises(InputError, match="in use by another run"), Run.at(tmp_path, restart=True) as second:
            second.claim(IDENTITY)
    with Run.at(tmp_path) as third:
        third.claim(IDENTITY)


def test_hosts_need_a_folder_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracetune.training.run.join_processes", lambda device: None)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="several hosts"), Run.at(None):
        raise AssertionError("the block must not run")
