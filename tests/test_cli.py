"""The command line as a user meets it: whole runs, exit statuses, messages, nothing half-written."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import QUICK, refusal, status
from tests.tiny import HORIZON, seasonal_frame
from tracetune import FitConfig, HeadConfig, InputError
from tracetune.base.config import settings
from tracetune.cli import app as cli
from tracetune.heads.config import FORECASTING_HEAD
from tracetune.recipes.fit_settings import fit_config as fit_settings
from tracetune.recipes.forecasting.settings import FinetuneConfig


def test_finetune_predict_evaluate(
    monkeypatch: pytest.MonkeyPatch, base_folder: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, forecast, scores = tmp_path / "run", tmp_path / "forecast.parquet", tmp_path / "scores.json"
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", folder, *QUICK]
    assert status(monkeypatch, "finetune", table, *arguments) == 0
    printed = capsys.readouterr().out
    assert f"  tracetune predict {table} --model {folder} --output forecast.csv --plot forecast.png" in printed
    assert "2 of 2 series train" in printed
    assert {"repeat last", "seasonal naive (24)"} == set(json.loads((folder / "trace.json").read_text())["naive"])
    assert (folder / "adapter_config.json").is_file()
    assert (folder / "validation.png").is_file()
    assert (folder / "training_head.png").is_file()

    quantiles = ["--quantiles", "0.1", "--quantiles", "0.9"]
    assert status(monkeypatch, "predict", table, "--model", folder, "--output", forecast, *quantiles) == 0
    predicted = pd.read_parquet(forecast)
    assert len(predicted) == 2 * HORIZON
    assert np.isfinite(predicted[["predictions", "0.1", "0.9"]]).all().all()

    plot = tmp_path / "worst.png"
    assert status(monkeypatch, "evaluate", table, "--model", folder, "--output", scores, "--plot", plot) == 0
    items = pd.read_json(scores)
    assert list(items["forecaster"]) == ["model", "repeat last", "seasonal naive (24)"] * 2
    assert list(items["item_id"]) == ["item0"] * 3 + ["item1"] * 3
    assert plot.is_file()
    page = tmp_path / "worst.html"
    assert status(monkeypatch, "evaluate", table, "--model", folder, "--plot", page) == 0
    assert "<h2>By item</h2>" in page.read_text() and "<svg" in page.read_text()


def test_trace_is_the_default_method_and_importance_reads_what_it_wrote(
    monkeypatch: pytest.MonkeyPatch, base_folder: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, output = tmp_path / "run", tmp_path / "importance"
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", folder, *QUICK]
    # a head that has hardly trained leaves the adapters something to gain
    arguments += ["--head-start", "gradient", "--head-tokens", "context", "--max-steps", 12, "--learning-rate", 0.01]
    arguments += ["--keep", 5, "--interval", 2, "--warmup-steps", 0.2, "--guard-margin", 0]
    assert status(monkeypatch, "finetune", table, *arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "trace comes out." in printed
    assert "TRACE kept 5 of 14 modules" in printed
    evidence = json.loads((folder / "trace.json").read_text())["selection"]["evidence"]
    assert evidence in printed and evidence in (folder / "README.md").read_text()
    assert (folder / "history.png").is_file()
    assert "TRACE kept 5 of 14 LoRA modules" in (folder / "README.md").read_text()
    selection = json.loads((folder / "trace.json").read_text())["config"]["method"]["selection"]
    assert (selection["keep"], selection["interval"], selection["warmup_steps"]) == (5, 2, 0.2)

    arguments = ["--model", folder, "--output", output, "--scores", "gated_dsic", "--scores", "adalora"]
    assert status(monkeypatch, "importance", table, *arguments, "--samples", 16, "--shapley-pairs", 1) == 0
    assert list(pd.read_csv(output / "agreement.csv")["score"]) == ["gated_dsic", "adalora"]
    assert {path.name for path in output.iterdir()} >= {"scores.csv", "importance.json", "heatmap.png", "history.png"}


@pytest.mark.parametrize(
    ("text", "expected"), [("0.5", 0.5), ("1.0", 1.0), ("1", 1), ("12", 12), ("1e-1", 0.1), ("auto", "auto")]
)
def test_amounts_are_shares_numbers_or_words(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: float | int | str
) -> None:
    keep = fit_config(taken_by_finetune(monkeypatch, "--keep", text)).method.selection.keep
    assert keep == expected
    assert type(keep) is type(expected)


def fit_config(config: FinetuneConfig) -> FitConfig:
    return fit_settings(config, config.head.config(), config.windows)


def taken_by_finetune(monkeypatch: pytest.MonkeyPatch, *flags: str) -> FinetuneConfig:
    """The configuration that the command line makes of flags."""
    taken: list[FinetuneConfig] = []
    monkeypatch.setattr("tracetune.recipes.forecasting.finetune.finetune", taken.append)
    assert status(monkeypatch, "finetune", "--dataset", "ETTh1", "--output", "x", *flags) == 0
    return taken[0]


@pytest.mark.parametrize(("flags", "expected"), [([], False), (["true"], True), (["false"], False), (["auto"], "auto")])
def test_precision_is_true_false_or_auto(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], expected: bool | str
) -> None:
    config = fit_config(taken_by_finetune(monkeypatch, *(["--bf16", *flags] if flags else [])))
    assert config.training.bf16 == expected
    assert type(config.training.bf16) is type(expected)
    assert config.head_training.bf16 is False


def test_defaults_are_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_config(taken_by_finetune(monkeypatch)) == FitConfig(head=HeadConfig(**FORECASTING_HEAD))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "lora", "--keep", "0.3"], "--keep 0.3 changes nothing with the method 'lora'"),
        (["--method", "linear_probe", "--r", "4"], "--r 4 changes nothing with the method 'linear_probe'"),
    ],
)
def test_options_that_the_method_does_not_have_are_refused(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        fit_config(taken_by_finetune(monkeypatch, *flags))
    assert message in refused.value.for_command_line()


def test_memory_and_epochs_hold_for_both_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    config = fit_config(taken_by_finetune(monkeypatch, "--max-tokens", "512", "--epoch-windows", "1000"))
    for phase in (config.training, config.head_training):
        assert (phase.max_tokens, phase.epoch_windows) == (512, 1000)


def test_config_files_and_flags_have_the_same_names(
    monkeypatch: pytest.MonkeyPatch, base_folder: str, table: Path, tmp_path: Path
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {table}\nmodel: {base_folder}\nprediction_length: 5\nmethod: linear_probe\nhead_epochs: 1\nbeta: 2\n"
    )
    assert (
        status(monkeypatch, "finetune", "--config", config, "--output", tmp_path / "run", "--prediction-length", 7) == 0
    )
    forecast = tmp_path / "forecast.csv"
    assert status(monkeypatch, "predict", table, "--model", tmp_path / "run", "--output", forecast) == 0
    assert len(pd.read_csv(forecast)) == 2 * 7


def test_unknown_keys_in_a_config_file_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text("metod: lora\n")
    message = refusal(monkeypatch, capsys, "finetune", "--config", tmp_path / "run.yaml")
    assert "Unknown setting 'metod'. Did you mean 'method'" in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "lorra"], "Unknown method 'lorra'. Did you mean 'lora'"),
        (["--head", "linear"], "Unknown head 'linear'"),
        (["--beta", "3"], "--beta to divide the backbone's width"),
        (["--model", "tracetune/tyni"], "Did you mean 'tracetune/tiny'"),
        (["--prediction-length", "0"], "--prediction-length of at least 1, found 0"),
        (["--prediction-length", "500"], "No series is long enough"),
        (["--r", "0"], "LoRA rank --r of at least 1"),
        (["--learning-rate", "-1"], "--learning-rate above 0"),
        (["--keep", "half"], "Expected --keep to be 'auto', a share in (0, 1] or a number of at least 1, found 'half'"),
        (["--keep", "0"], "Expected --keep to be"),
        (["--keep", "15"], "keep between 1 and 14 modules"),
        (["--budget-unit", "bytes"], "Unknown --budget-unit 'bytes'"),
        (["--score", "gated"], "Did you mean 'gated_dsic'"),
        (["--final-step", "0.05"], "Expected --warmup-steps <= --final-step"),
        (["--target-modules", "*.query"], "fits none of the 14 linear layers"),
        (["--device", "gpu9"], "Expected a device such as 'cpu'"),
        (["--target", "price"], "price"),
        (["--dataset", "ETTh1"], "found both"),
        (["--epochs", "3"], "There is no flag --epochs. Did you mean --num-train-epochs?"),
        (
            ["--label-column", "y"],
            "--label-column. It is a flag of --task classification and --task anomaly and --task",
        ),
    ],
)
def test_wrong_flags_leave_no_folder(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    base_folder: str,
    table: Path,
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    defaults = {"--model": base_folder, "--prediction-length": str(HORIZON), "--beta": "2", "--device": "cpu"}
    defaults.update(zip(flags[::2], flags[1::2], strict=True))
    arguments = [part for pair in defaults.items() for part in pair]
    assert message in refusal(monkeypatch, capsys, "finetune", table, *arguments, "--output", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.drop(columns="target"), "target"),
        (lambda frame: pd.concat([frame[:1], frame]), "times"),
        (lambda frame: frame.sample(frac=1, random_state=0), "--sort"),
        (lambda frame: frame[:0], "table with rows"),
        (lambda frame: frame.assign(target=np.nan), "item0"),
        (lambda frame: frame.assign(target=np.where(frame.index == 7, np.inf, frame["target"])), "inf"),
        (lambda frame: frame.assign(target=["n/a?", *frame["target"][1:]]), "n/a?"),
        (lambda frame: frame[:10], "No series is long enough"),
    ],
)
def test_unusable_tables_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    base_folder: str,
    tmp_path: Path,
    spoil: object,
    message: str,
) -> None:
    table, folder = tmp_path / "series.csv", tmp_path / "run"
    spoil(seasonal_frame()).to_csv(table, index=False)
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", folder, *QUICK]
    assert message in refusal(monkeypatch, capsys, "finetune", table, *arguments)
    assert not folder.exists()


def test_files_that_are_not_there_or_not_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, base_folder: str, table: Path, tmp_path: Path
) -> None:
    assert "there is no such file" in refusal(monkeypatch, capsys, "finetune", "no.csv", "--output", tmp_path / "run")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").touch()
    assert "is not empty" in refusal(monkeypatch, capsys, "finetune", table, "--output", tmp_path / "used")
    assert "Expected --output" in refusal(monkeypatch, capsys, "finetune", table)
    arguments = ["--model", base_folder, "--prediction-length", 3, "--output", tmp_path / "used" / "mine"]
    assert "exists already" in refusal(monkeypatch, capsys, "predict", table, *arguments)


def test_damaged_models_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, base_folder: str, table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = ["--model", base_folder, "--prediction-length", HORIZON, "--output", folder, *QUICK]
    assert status(monkeypatch, "finetune", table, *arguments) == 0
    capsys.readouterr()
    wrong = ["--model", folder, "--output", tmp_path / "forecast.csv", "--prediction-length", 5]
    assert "fine-tuned for --prediction-length 12" in refusal(monkeypatch, capsys, "predict", table, *wrong)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    message = refusal(monkeypatch, capsys, "predict", table, "--model", folder, "--output", tmp_path / "forecast.csv")
    assert "damaged or truncated" in message
    assert not (tmp_path / "forecast.csv").exists()


def test_models_and_data_sets_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert status(monkeypatch, "models") == 0
    assert "tracetune/tiny" in capsys.readouterr().out
    assert status(monkeypatch, "datasets", "--kind", "long") == 0
    assert "ETTh1" in capsys.readouterr().out
    assert "Did you mean" in refusal(monkeypatch, capsys, "datasets", "--kind", "longer")


def test_a_full_disk_is_wrong_use_and_other_failures_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    def broken() -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(cli, "app", full)
    assert "Free some disk space" in refusal(monkeypatch, capsys)
    monkeypatch.setattr(cli, "app", broken)
    assert status(monkeypatch) == 1
    assert "RuntimeError: bug" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "task"), [(name, task) for name, command in cli.COMMANDS.items() for task in command.variants]
)
def test_every_flag_is_explained(command: str, task: str) -> None:
    assert all(setting.text for setting in settings(cli.config_of(command, task)).values())


@pytest.mark.parametrize(
    ("command", "flag", "message"),
    [
        ("finetune", "--horizon", "Did you mean --prediction-length?"),
        ("finetune", "--lr=1e-3", "Did you mean --learning-rate?"),
        ("predict", "--quantile-levels", "Did you mean --quantiles?"),
        ("evaluate", "--sesaon", "Did you mean --season?"),
        ("predict", "--zzzz", "All flags: tracetune predict --help"),
    ],
)
def test_unknown_flags_name_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, command: str, flag: str, message: str
) -> None:
    assert message in refusal(monkeypatch, capsys, command, "x.csv", flag, "3")


def test_unknown_commands_name_the_nearest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert "Unknown command 'fintune'. Did you mean 'finetune'?" in refusal(monkeypatch, capsys, "fintune", "x.csv")


@pytest.mark.parametrize("size", ["1e20", "100000000000000000000", "-3", "0", "many"])
def test_sizes_that_are_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, table: Path, base_folder: str, size: str
) -> None:
    arguments = ["--model", base_folder, "--prediction-length", 3, "--output", "never.csv"]
    message = refusal(monkeypatch, capsys, "predict", table, *arguments, "--batch-size", size)
    assert re.search(r"batch[-_]size", message)


def test_what_begins_is_said_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("tracetune.recipes.forecasting.predict.predict", lambda config: print("recipe runs"))
    monkeypatch.chdir(tmp_path)
    Path("sales.csv").touch()
    assert status(monkeypatch, "predict", "sales.csv") == 0
    assert capsys.readouterr().out.splitlines() == ["Reading sales.csv ...", "recipe runs"]
