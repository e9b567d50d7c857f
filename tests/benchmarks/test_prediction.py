"""The prediction benchmark: variants that agree, fair turns, processes that are clean, and one small run."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from benchmarks import prediction
from tests.tiny import CONTEXT, HORIZON, save_tiny, tiny_backbone
from tracetune.evaluation.cost import count_parameters, peak_memory_bytes


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "CONTEXT", CONTEXT)
    monkeypatch.setattr(prediction, "HORIZON", HORIZON)


def test_the_merged_variant_is_the_bare_model_in_all_but_its_numbers() -> None:
    models = prediction.variants(tiny_backbone())
    bare, adapter, merged = models.values()
    kinds = [[(name, type(module)) for name, module in model.named_modules()] for model in (bare, merged)]
    assert kinds[0] == kinds[1]
    assert not any(isinstance(module, BaseTunerLayer) for module in merged.modules())
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in merged.modules()]
    assert not any(hooks)
    linear = [module for module in bare.backbone.encoder.modules() if isinstance(module, nn.Linear)]
    assert count_parameters(adapter).adapters == sum(2 * sum(layer.weight.shape) for layer in linear)
    batch = torch.randn(3, 1, CONTEXT)
    with torch.no_grad():
        outputs = [model(batch).forecast for model in models.values()]
    torch.testing.assert_close(outputs[2], outputs[1], rtol=1e-5, atol=1e-5)
    assert (outputs[1] - outputs[0]).abs().max() > 1e-3  # the adapter does something


def test_calls_take_turns_and_each_begins_once(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = itertools.count()
    monkeypatch.setattr(prediction.time, "perf_counter", lambda: float(next(clock)))
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    times = prediction.interleaved(calls, rounds=2, repeats=3)
    assert "".join(order) == "abc" + 2 * "abcbcacab"
    assert {name: [wall for wall, _ in rounds] for name, rounds in times.items()} == {
        name: [1.0, 1.0] for name in "abc"
    }


def test_ratios_are_taken_within_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {
        "bare": [(1.0, 1.0), (2.0, 1.0), (4.0, 1.0)],
        "adapter": [(2.0, 1.5), (3.0, 1.5), (4.0, 1.4)],
        "adapter merged": [(1.0, 1.0), (2.0, 1.0), (4.0, 1.0)],
    }
    monkeypatch.setattr(prediction, "interleaved", lambda *arguments: times)
    _, adapter, merged = prediction.adapter_rows(tiny_backbone(), 4, 3, 1)
    assert (adapter["ratio"], adapter["lowest_ratio"], adapter["highest_ratio"]) == (1.5, 1.0, 2.0)
    assert (adapter["processor_ratio"], adapter["milliseconds"]) == (1.5, 3000)
    assert (merged["ratio"], merged["lowest_ratio"], merged["highest_ratio"]) == (1.0, 1.0, 1.0)


def test_series_differ_and_are_made_as_they_are_asked_for() -> None:
    first = list(itertools.islice(prediction.series(10**12, CONTEXT), 500))
    assert {values.shape for values in first} == {(1, CONTEXT)}
    assert len(np.unique(np.concatenate(first), axis=0)) == 500
    np.testing.assert_array_equal(first[7], list(prediction.series(8, CONTEXT))[7])


def _peak() -> dict:
    return {"peak": peak_memory_bytes()}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_a_new_process_does_not_inherit_the_peak_of_this_one() -> None:
    block = np.ones(3 * 2**27)  # 3 GiB, let go before the process starts
    del block
    assert peak_memory_bytes() > 3 * 2**30
    assert prediction.in_new_process(_peak)["peak"] < 2 * 2**30


def test_a_small_run_writes_both_files_and_is_taken_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model, output = save_tiny(tmp_path / "model"), tmp_path / "prediction"
    # the new process would not know of the small context
    monkeypatch.setattr(prediction, "in_new_process", lambda function, *arguments: function(*arguments))
    flags = ["--model", model, "--batch-size", "4", "--rounds", "2", "--repeats", "1", "--output", str(output)]
    for sizes in (["9"], ["9", "3"]):
        monkeypatch.setattr(sys, "argv", ["prediction", *flags, "--sizes", *sizes])
        prediction.main()
    assert "4 rows in" in capsys.readouterr().out
    rows = json.loads(output.with_suffix(".json").read_text())["rows"]
    assert [row["case"] for row in rows] == ["bare", "adapter", "adapter merged", "9", "3"]
    assert [row["series"] for row in rows[3:]] == [9, 3]
    assert all(row["memory"] >= row["memory_after_one_batch"] > 0 for row in rows[3:])
    tables = [line for line in output.with_suffix(".md").read_text().splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in tables] == [
        "model", tables[1].split("|")[1].strip(), "bare", "adapter", "adapter merged",
        "series", tables[6].split("|")[1].strip(), "3", "9",
    ]  # fmt: skip
