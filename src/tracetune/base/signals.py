"""Signals that end a run, raised as an exception, so that files are closed and temporary ones removed."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C; docker stop, Slurm, kill; a closed terminal
_SAME_SECONDS = 5.0  # a launcher passes on a signal that the terminal has sent already


class Stopped(BaseException):
    """A signal asked the run to end.

    What was kept, and how to go on, stands in its notes (``add_note``), one sentence each.

    Attributes:
        number: the signal's; a process that it ended has exit status 128 + number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"Stopped by {signal.Signals(number).name}.")
        self.number = number

    @property
    def status(self) -> int:
        """Return the exit status that says so."""
        return 128 + self.number

    def __str__(self) -> str:
        return " ".join([*self.args, *getattr(self, "__notes__", [])])


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGINT, SIGTERM and SIGHUP, inside the context.

    Former handlers are restored afterwards.

    A signal that was ignored stays so (``nohup``). Another one within five seconds is taken for the same: clearing up
    is not cut short by a launcher that passes a signal on. Processes forked inside end as they would without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, last = os.getpid(), [-_SAME_SECONDS]

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        again, last[0] = now - last[0] < _SAME_SECONDS, now
        if not again:
            raise Stopped(number)

    before: dict[int, Any] = {}
    for name in _SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
