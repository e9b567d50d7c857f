"""Several processes of one run, as torchrun and accelerate launch start them: the first one decides and writes."""

import gc
import os
from collections.abc import Callable
from typing import Any, TypeVar

from tracetune.base.errors import InputError

T = TypeVar("T")


def process_count() -> int:
    """Return how many processes this run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this process is the one that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


def is_one_host() -> bool:
    """Return whether all processes run on this host, so that a local folder is one for all."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", process_count())) == process_count()


def join_processes(device: str = "cpu") -> None:
    """Connect the processes of this run, where there are several; ``device`` decides by what (gloo, NCCL)."""
    if process_count() > 1:
        from accelerate import PartialState  # takes seconds to import

        PartialState(cpu=device == "cpu")


def from_main(make: Callable[[], T]) -> T:
    """Return what ``make`` returns in the main process, in all processes.

    Raises:
        InputError: ``make`` raised it in the main process; then in all.
    """
    if process_count() == 1:
        return make()
    import torch.distributed as dist

    found: list[Any] = [None, None]
    failure: BaseException | None = None
    if is_main_process():
        try:
            found[0] = make()
        except BaseException as error:
            failure = error
            found[1] = error if isinstance(error, InputError) else RuntimeError(f"The first process failed: {error!r}")
    dist.broadcast_object_list(found)
    if failure is not None:
        raise failure
    if found[1] is not None:
        raise found[1]
    return found[0]


def wait_for_all() -> None:
    """Go on when all processes of the run have come here."""
    if process_count() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.barrier()


def leave_processes() -> None:
    """Disconnect from the other processes, where there was a connection."""
    if process_count() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            gc.collect()  # trainers are cycles that hold the connection: its threads would abort the interpreter's end
            dist.destroy_process_group()
