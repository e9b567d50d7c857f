"""A progress bar for the Trainer, with the losses beside it."""

from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback


class ProgressBar(TrainerCallback):
    """One rich bar per training run: steps, time left, latest losses."""

    def __init__(self, description: str) -> None:
        self.description = description
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the bar, at the step where training starts or goes on."""
        if not state.is_world_process_zero:
            return
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )  # fmt: skip
        self._task = self._progress.add_task(
            self.description, total=state.max_steps, completed=state.global_step, losses=""
        )
        self._progress.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance."""
        if self._progress is not None:
            self._progress.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Show the newest training and validation loss."""
        if self._progress is None:
            return
        latest = {"loss": "train", "eval_loss": "validation"}
        shown = [f"{latest[name]} {value:.4f}" for name, value in (logs or {}).items() if name in latest]
        if shown:
            self._progress.update(self._task, losses="  ".join(shown))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the finished bar on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
