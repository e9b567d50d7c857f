"""Bad input at the command line: status 2, a message that says what to do, and nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import QUICK, refusal, status
from tests.tiny import HORIZON, save_tiny, seasonal_frame


@pytest.fixture(scope="module")
def saved(base_folder: str, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "saved"
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", folder, *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        assert status(patch, "finetune", table, "--method", "linear_probe", *arguments) == 0
    return folder


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("finetune", ["--lora-alpha", "-1"], "--lora-alpha above 0, found -1.0"),
        ("finetune", ["--seed", "-1"], "--seed from 0 to 4294967295, found -1"),
        ("finetune", ["--max-steps", "0"], "--max-steps of at least 1, or -1"),
        ("finetune", ["--validation-windows", "0"], "--validation-windows of at least 1, found 0"),
        ("finetune", ["--context-length", "-5"], "--context-length of at least 1, found -5"),
        ("finetune", ["--train-stride", "0"], "--train-stride of at least 1, found 0"),
        ("finetune", ["--model", "momnet"], "Did you mean 'AutonLab/MOMENT-1-base'"),
        ("predict", ["--batch-size", "0"], "--batch-size of at least 1, found 0"),
        ("predict", ["--quantiles", "high"], "--quantiles such as 0.1,0.9, found 'high'"),
        ("predict", ["--quantiles", "0.5"], "Quantiles need a fitted forecaster"),
        ("evaluate", ["--batch-size", "0"], "--batch-size of at least 1, found 0"),
        ("evaluate", ["--season", "0"], "season of at least 1 step (1: none), found 0"),
        ("evaluate", ["--test-length", "3"], "--test-length of at least the horizon, 12, found 3"),
        ("evaluate", ["--test-length", "240"], "--test-length below the longest series, 240 steps"),
        ("evaluate", ["--stride", "0"], "stride of at least 1, found 0"),
    ],
)
def test_numbers_out_of_range(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    base_folder: str,
    table: Path,
    tmp_path: Path,
    command: str,
    flags: list[str],
    message: str,
) -> None:
    output = tmp_path / ("run" if command == "finetune" else "out.csv")
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", output, "--device", "cpu"]
    few = ["--beta", "2"] if command == "finetune" else []
    assert message in refusal(monkeypatch, capsys, command, table, *arguments, *few, *flags)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r: two", "Expected --r to be a whole number, found 'two'"),
        ('sort: "no"', "Expected --sort to be true or false, found 'no'"),
        ("target_modules: '*.q'", "Expected --target-modules to be a list"),
        ("method: [lora]", "Expected --method to be text"),
    ],
)
def test_values_of_another_type_in_a_config_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    table: Path,
    tmp_path: Path,
    line: str,
    message: str,
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"data: {table}\noutput: {tmp_path / 'run'}\n{line}\n")
    assert message in refusal(monkeypatch, capsys, "finetune", "--config", config)
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("name", ["file/run", "file/deep/run"])
def test_outputs_below_a_file_are_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, table: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    arguments = ["--model", "not-looked-for", "--prediction-length", 3, "--output"]
    for command, suffix in (("finetune", ""), ("predict", ".csv"), ("evaluate", ".json")):
        output = tmp_path / f"{name}{suffix}"
        assert "expected a folder" in refusal(monkeypatch, capsys, command, table, *arguments, output)


def test_output_tables_are_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, table: Path, tmp_path: Path
) -> None:
    arguments = ["--model", "not-looked-for", "--prediction-length", 3, "--output"]
    for command in ("predict", "evaluate"):
        assert "found 'a.ods'" in refusal(monkeypatch, capsys, command, table, *arguments, tmp_path / "a.ods")
        assert "found the folder" in refusal(monkeypatch, capsys, command, table, *arguments, tmp_path)


def test_a_test_part_without_any_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, base_folder: str, tmp_path: Path
) -> None:
    frame = seasonal_frame(items=1)
    frame["target"] = np.where(np.arange(len(frame)) < 200, frame["target"], np.nan)
    frame.to_csv(tmp_path / "series.csv", index=False)
    output = tmp_path / "out.csv"
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--test-length", 20, "--output", output]
    message = refusal(monkeypatch, capsys, "evaluate", tmp_path / "series.csv", *arguments)
    assert "Every value of the test part is missing" in message
    assert "a larger --test-length" in message
    assert not output.exists()


def edit_trace(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        trace = json.loads((folder / "trace.json").read_text())
        change(trace)
        (folder / "trace.json").write_text(json.dumps(trace))

    return edit


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "trace.json").write_text("{"), "not a valid JSON file"),
        (edit_trace(lambda trace: trace.pop("head")), "trace.json has no head"),
        (
            edit_trace(lambda trace: trace["base_model"].update(name="gone")),
            "Unknown model 'gone'",
        ),
        (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json; it does not exist"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""), "damaged or truncated"),
    ],
)
def test_damaged_folders(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    saved: Path,
    table: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    shutil.copytree(saved, tmp_path / "run")
    spoil(tmp_path / "run")
    arguments = ["--model", tmp_path / "run", "--output", tmp_path / "out.csv"]
    assert message in refusal(monkeypatch, capsys, "predict", table, *arguments)
    assert not (tmp_path / "out.csv").exists()


def test_a_backbone_that_was_moved_and_one_that_was_exchanged(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    saved: Path,
    base_folder: str,
    table: Path,
    tmp_path: Path,
) -> None:
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.copytree(base_folder, moved)
    save_tiny(other, seed=5)
    arguments = ["--model", saved, "--output", tmp_path / "out.csv"]
    assert "the weights differ" in refusal(monkeypatch, capsys, "predict", table, *arguments, "--base", other)
    assert status(monkeypatch, "predict", table, *arguments, "--base", moved) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 2 * HORIZON


def test_a_full_disk_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, saved: Path, table: Path, tmp_path: Path
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    arguments = ["--model", saved, "--output", tmp_path / "out.csv"]
    assert "Free some disk space" in refusal(monkeypatch, capsys, "predict", table, *arguments)
    assert list(tmp_path.iterdir()) == []
