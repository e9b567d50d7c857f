"""Signals end a run through an exception, once, and in the process that asked for it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tracetune.base.leftovers import scratch_folder
from tracetune.base.signals import Stopped, stopped_by_signals

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_clears_up_and_says_what_was_kept(tmp_path: Path, number: int, status: int) -> None:
    assert list(tmp_path.iterdir()) == []
    installed = signal.signal(number, signal.SIG_DFL)  # whoever started the tests may ignore some
    try:
        with pytest.raises(Stopped) as stopped, stopped_by_signals(), scratch_folder(tmp_path):
            try:
                os.kill(os.getpid(), number)
            except Stopped as stop:
                stop.add_note("The same command goes on.")
                os.kill(os.getpid(), number)  # passed on by a launcher: the same signal
                raise
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, installed)
    assert list(tmp_path.iterdir()) == []
    assert stopped.value.status == status
    assert str(stopped.value) == f"Stopped by {signal.Signals(number).name}. The same command goes on."


def test_a_signal_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_forked_process_ends_as_it_would_without(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nfrom tracetune.base.signals import stopped_by_signals\n"
        "with stopped_by_signals():\n"
        "    ready, told = os.pipe()\n"
        "    child = os.fork()\n"
        "    if child == 0: os.write(told, b'x'); time.sleep(60); os._exit(0)\n"
        "    os.read(ready, 1)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitpid(child, 0)[1])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "15"


def test_other_threads_leave_signals_alone() -> None:
    found = []

    def work() -> None:
        with stopped_by_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
