"""The memory benchmark: its cases are what they say, and each process tells its own peak."""

from dataclasses import asdict
from pathlib import Path

import pytest
from benchmarks.common import CONTEXT
from benchmarks.data_loading import HORIZON, random_walks

from benchmarks import memory
from tests.tiny import save_tiny
from tracetune.data.windows import Windows


@pytest.mark.parametrize("case", [memory.Case(1, 1607), memory.Case(3, 700), memory.Case(2, CONTEXT + HORIZON)])
def test_windows_are_counted_as_they_are_made(case: memory.Case) -> None:
    assert case.windows == len(Windows([random_walks(case.channels, case.steps)], CONTEXT, HORIZON))
    assert memory.IDLE.windows == 0


def test_the_cases_ask_what_the_benchmark_promises() -> None:
    found = list(memory.cases())
    assert len({(question, case) for question, case in found}) == len(found)
    assert {case.windows for question, case in found if question == "windows"} == {10**3, 10**4, 10**5, 10**6}
    assert {case.channels for question, case in found if question == "channels"} == {1, 7, 100, 862}
    assert {case.batch_size for question, case in found if question == "batch"} == {64, 862}


def test_a_limit_of_tokens_lowers_the_peak(tmp_path: Path) -> None:
    """One step on 400 windows of 64 patches; the batch alone has 400 x 608 values and as many in its masks."""
    model = save_tiny(tmp_path)
    idle, whole, limited = (
        memory.peak_in_new_process(case, model, 1)
        for case in (memory.IDLE, memory.Case(1, 1607, 400), memory.Case(1, 1607, 400, 640))
    )
    batch = 2 * 4 * 400 * (CONTEXT + HORIZON)
    assert whole > idle + 10 * batch
    assert limited < idle + 0.5 * (whole - idle)


def test_every_question_has_its_table() -> None:
    rows = [
        {
            "question": question, **asdict(case), "windows": case.windows,
            "above_idle_gib": 0.25, "series_gib": 0.001, "idle_gib": 0.5,
        }
        for question, case in memory.cases()
    ]  # fmt: skip
    text = memory.markdown(rows)
    assert text.count("\n## ") == 3
    assert "0.50 GiB of an idle process" in text
    assert len([line for line in text.splitlines() if line.startswith("|")]) == len(rows) + 3 * 2
