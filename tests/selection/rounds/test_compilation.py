"""torch.compile goes on compiling, however many sets of open modules there were."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch._dynamo.config as limits

from tests.selection.rounds.selection_runs import begin, train
from tests.selection.toys import lora_forecaster
from tracetune.base.errors import InputError
from tracetune.base.step_files import StepFiles
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.compilation import RecompileLimits


def test_limits_are_raised_and_restored() -> None:
    before = limits.recompile_limit, limits.accumulated_recompile_limit
    room = RecompileLimits()
    for _ in range(3):
        room.make_room()
    assert limits.recompile_limit == before[0] + 12
    room.restore()
    room.restore()
    assert (limits.recompile_limit, limits.accumulated_recompile_limit) == before


def test_limits_are_restored_when_nobody_holds_them_any_more() -> None:
    before = limits.recompile_limit
    RecompileLimits().make_room()
    assert limits.recompile_limit == before


def test_limits_are_restored_where_a_round_or_the_end_fails(monkeypatch: Any) -> None:
    before = limits.recompile_limit, limits.accumulated_recompile_limit
    for way_out in ("round", "end", "close"):
        gates = Gates(lora_forecaster())
        run = begin(gates, [], interval=2, warmup_steps=2, final_step=14, score="magnitude")
        train(gates, run, range(1, 4))
        assert limits.recompile_limit > before[0]
        if way_out == "close":  # the training itself failed
            run.close()
        else:
            monkeypatch.setattr(run, "_round", _fail)
            with pytest.raises(KeyboardInterrupt):
                train(gates, run, range(4, 6)) if way_out == "round" else run.finish(5)
        assert (limits.recompile_limit, limits.accumulated_recompile_limit) == before, way_out


def test_a_run_that_cannot_go_on_leaves_the_limits_alone(tmp_path: Path) -> None:
    before, gates, log = limits.recompile_limit, Gates(lora_forecaster()), []
    run = begin(gates, log, keep="auto")
    train(gates, run, range(1, 6))
    run.close()
    with pytest.raises(InputError, match="best model") as refused:  # in files, where nobody has put it
        begin(Gates(lora_forecaster()), [], past=log, files=StepFiles(tmp_path), keep="auto")
    assert refused.traceback  # which holds what was begun
    assert limits.recompile_limit == before


def _fail(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_compiled_model_runs_compiled_after_many_rounds(monkeypatch: Any) -> None:
    """13 rounds with another set each, of which torch.compile allows 8 by itself."""
    torch._dynamo.reset()
    limit = limits.recompile_limit
    calls = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        return lambda *arguments: calls.append(1) or graph.forward(*arguments)

    gates = Gates(torch.compile(lora_forecaster(), backend=backend))
    sets = iter([names for size in (1, 2, 3) for names in combinations(gates.names, size)])
    run = begin(gates, [], interval=1, warmup_steps=2, final_step=14, score="magnitude")
    monkeypatch.setattr(run.budget, "choose", lambda scores, amount: next(sets))
    compiled = {}
    for step in range(1, 20):
        before = len(calls)
        train(gates, run, range(step, step + 1))
        compiled[step] = len(calls) - before
    assert len({tuple(record.open) for record in run.records}) == 13
    assert set(compiled.values()) == {1}
    run.finish(19)
    assert limits.recompile_limit == limit
