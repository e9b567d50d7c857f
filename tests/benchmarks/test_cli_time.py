"""The benchmark of the command line: what it measures is what ran."""

import sys

from benchmarks.cli_time import _until_first_line, page, seconds


def test_seconds_are_those_of_the_process() -> None:
    busy = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    assert seconds(["-c", busy], 1) >= 0.3


def test_a_process_ends_with_its_first_line() -> None:
    endless = "print('x', flush=True)\nwhile True: pass"
    assert _until_first_line([sys.executable, "-c", endless]) < 60


def test_the_page_shows_measure_and_limit() -> None:
    text = page([{"what": "tracetune --help", "seconds": 0.512, "limit": 1.0}])
    assert "tracetune --help" in text and "0.51" in text and "1.000" in text
