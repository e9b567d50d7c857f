"""A progress bar for the Trainer, named after the trained part, with the losses beside it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich import get_console
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tracetune.base.processes import is_main_process

_PHASES = {"head": "head", "full": "all weights"}


def _phase(folder: str) -> str:
    """Return what a phase trains, or the learning rate that it tries, by the name of its folder."""
    return folder.replace("rate-", "rate ") if folder.startswith("rate-") else _PHASES.get(folder, "adapters")


class ProgressBar(TrainerCallback):
    """One rich bar per training run: steps, time left, latest losses. A run that stops early ends its bar there.

    Args:
        description: stands before the bar; None takes "head", "adapters", "all weights" or the learning rate that
            is tried, by the phase of the fit, which is the last part of the Trainer's folder.
        console: where to draw; None for standard output.
    """

    def __init__(self, description: str | None = None, console: Console | None = None) -> None:
        self.description = description
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Show the bar, at the step where training starts or goes on."""
        if not state.is_world_process_zero:
            return
        self._progress = self._bar()
        description = self.description or _phase(Path(args.output_dir).name)
        self._task = self._progress.add_task(description, total=state.max_steps, completed=state.global_step, losses="")
        self._progress.start()

    @contextmanager
    def counting(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far a computation without a Trainer is, until it ends; see `Run.counting`."""
        with self._bar(passing=True) as progress:
            task = progress.add_task(description, total=total, losses="")
            yield lambda samples: progress.advance(task, samples)

    def _bar(self, passing: bool = False) -> Progress:
        """Return a bar; one that is ``passing`` leaves nothing behind, and is on the first process's screen alone."""
        console = get_console() if self._console is None else self._console
        return Progress(
            TextColumn("{task.description:<11}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"), console=console,
            transient=passing, disable=passing and not (console.is_terminal and is_main_process()),
        )  # fmt: skip

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Advance the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Show the newest training and validation loss."""
        if self._progress is None:
            return
        latest = {"loss": "train", "eval_loss": "validation"}
        shown = [f"{latest[name]} {value:.4f}" for name, value in (logs or {}).items() if name in latest]
        if shown:
            self._progress.update(self._task, losses="  ".join(shown))

    def close(self) -> None:
        """Leave the bar as it is, and give back cursor and screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave the finished bar on the screen; where training stopped early, say so."""
        if self._progress is None:
            return
        done = state.global_step
        self._progress.update(self._task, completed=done, total=done)
        if done < state.max_steps:
            self._progress.update(self._task, losses=f"stopped early, of {state.max_steps}: no better validation loss")
        self.close()
