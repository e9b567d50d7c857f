"""Surroundings of a training: folder, device, callbacks. None of them changes the result."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tracetune.base.errors import InputError, argument
from tracetune.base.folder_lock import FolderLock
from tracetune.base.identity import claim
from tracetune.base.leftovers import scratch_folder, sweep
from tracetune.base.processes import from_main, is_one_host, join_processes, wait_for_all

_STATE = (f"**/{PREFIX_CHECKPOINT_DIR}-*", "**/trace_best")  # what TraceCallback keeps beside the checkpoints, too


@runtime_checkable
class CountsSamples(Protocol):
    """A callback that shows how far a computation without a Trainer is."""

    def counting(self, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Return a context that shows it; what it yields takes how many more of ``total`` samples are done."""
        ...


@dataclass(frozen=True)
class Run:
    """Surroundings of a training, or of a fit of several.

    Attributes:
        folder: where checkpoints and cache files go; a run that was cut off goes on from the checkpoints in it.
        device: "cpu", "cuda", ...
        callbacks: of the Trainer, e.g. a progress bar; every phase of a fit has them.
        restart: discard what is in the folder, whichever run it is of.
        lock: keeps other runs out of the folder, from `claim` to the end of `at`.
    """

    folder: Path
    device: str = "cpu"
    callbacks: tuple[TrainerCallback, ...] = ()
    restart: bool = False
    lock: FolderLock = field(default_factory=FolderLock, repr=False)

    @classmethod
    @contextmanager
    def at(
        cls,
        checkpoints: str | Path | None,
        device: str = "cpu",
        callbacks: Sequence[TrainerCallback] = (),
        *,
        restart: bool = False,
    ) -> Iterator["Run"]:
        """Open a run in the folder ``checkpoints``; None takes a temporary one, deleted at the end.

        It is one folder for all processes of the run.

        Raises:
            InputError: processes on several hosts have no folder in common.
        """
        join_processes(device)
        if checkpoints is not None:
            with FolderLock() as lock:
                yield cls(Path(checkpoints), device, tuple(callbacks), restart, lock)
            return
        if not is_one_host():
            raise InputError(
                f"Processes on several hosts need one folder for checkpoints: give {argument('checkpoints')}, on "
                "storage that they share."
            )
        with ExitStack() as stack:
            folder = from_main(lambda: stack.enter_context(scratch_folder(tempfile.gettempdir())))
            yield cls(folder, device, tuple(callbacks))
            wait_for_all()  # until no process reads from it

    def claim(self, identity: Mapping[str, object]) -> None:
        """Make the folder that of the run with this identity, see `tracetune.base.identity.claim`.

        Raises:
            InputError: it holds checkpoints of another run, or another run is at work in it.
        """

        def claimed() -> None:
            self.lock.hold(self.folder)
            claim(self.folder, identity, _STATE, restart=self.restart)
            sweep(self.folder)

        from_main(claimed)

    @contextmanager
    def counting(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Let the callbacks that can show how far a computation is; see `CountsSamples`."""
        with ExitStack() as stack:
            able = [each for each in self.callbacks if isinstance(each, CountsSamples)]
            shown = [stack.enter_context(each.counting(description, total)) for each in able]

            def count(samples: int) -> None:
                for each in shown:
                    each(samples)

            yield count

    def part(self, name: str) -> "Run":
        """Return the same surroundings for one phase, with a folder of its own."""
        return replace(self, folder=self.folder / name)

    def with_callbacks(self, callbacks: Sequence[TrainerCallback]) -> "Run":
        """Return the same surroundings with further callbacks."""
        return replace(self, callbacks=(*self.callbacks, *callbacks))
