"""Progress bars as they are left on the screen."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

from tracetune.training.progress import ProgressBar
from tracetune.training.run import Run


def bar_of(folder: str, steps: int, most: int, description: str | None = None) -> str:
    """What a run of ``steps`` out of ``most`` steps leaves on the screen."""
    screen = StringIO()
    bar = ProgressBar(description, Console(file=screen, width=120, force_terminal=False))
    state = SimpleNamespace(is_world_process_zero=True, max_steps=most, global_step=0)
    args = SimpleNamespace(output_dir=folder)
    bar.on_train_begin(args, state, None)
    for step in range(steps):
        state.global_step = step + 1
        bar.on_step_end(args, state, None)
    bar.on_log(args, state, None, logs={"eval_loss": 0.25, "epoch": 1.0})
    bar.on_train_end(args, state, None)
    return screen.getvalue()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("ck/head", "head"),
        ("ck/trace", "adapters"),
        ("ck/lora", "adapters"),
        ("ck/full", "all"),
        ("ck/rate-0.002", "rate 0.002"),
    ],
)
def test_bars_are_named_after_what_trains(folder: str, name: str) -> None:
    assert bar_of(folder, 4, 4).startswith(name)


def test_a_computation_without_a_trainer_is_counted_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[float, float | None]] = []
    file = StringIO()
    bar = ProgressBar(console=Console(file=file, width=120, force_terminal=False))
    with Run(Path(), callbacks=(bar,)).counting("features", 300) as count:
        monkeypatch.setattr(
            Progress, "advance", lambda self, task, samples: shown.append((samples, self.tasks[task].total))
        )
        count(256)
        count(44)
    assert shown == [(256, 300), (44, 300)]
    assert file.getvalue() == ""  # of a file nothing could be taken back


def test_a_name_that_is_given_stays() -> None:
    assert bar_of("ck/head", 4, 4, "pretraining").startswith("pretraining")


def test_a_finished_run_shows_its_loss() -> None:
    assert "4/4" in bar_of("head", 4, 4)
    assert "validation 0.2500" in bar_of("head", 4, 4)


def test_a_run_that_stops_early_ends_its_bar_and_says_so() -> None:
    shown = bar_of("head", 14, 16)
    assert "14/14" in shown
    assert "stopped early, of 16" in shown
