"""Importance from the command line: scores, costs and agreement that equal the library's, and pictures."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from tests.tiny import CONTEXT, HORIZON, seasonal_frame, tiny_backbone
from tracetune import FitConfig, Forecaster, HeadConfig, InputError, Trace, TrainingConfig
from tracetune.base.config import from_mapping
from tracetune.cli.app import config_of
from tracetune.cli.commands import COMMANDS
from tracetune.data.windows import Windows
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.recipes.forecasting.importance import importance
from tracetune.recipes.forecasting.settings import ImportanceConfig
from tracetune.recipes.importance import STATE_FILE, _identity, lora_fit
from tracetune.selection.config import SelectionConfig
from tracetune.selection.scores import SCORES
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData


def fine_tuned(base_folder: str, folder: Path, method: str) -> str:
    training = TrainingConfig(max_steps=12, batch_size=16, evaluations=4, learning_rate=1e-2)
    config = FitConfig(
        method=Trace(SelectionConfig(keep=4)) if method == "trace" else method,
        head=HeadConfig("projection", beta=2, tokens="context"),
        head_start="gradient",  # a head that has hardly trained leaves the adapters something to gain
        head_training=training,
        training=training,
        guard_margin=0.0,
        shrink="none",
    )
    tuned = Forecaster.from_pretrained(base_folder, HORIZON, device="cpu").fit(seasonal_frame(), config=config)
    assert tuned.trace["winner"] == ("head" if method == "linear_probe" else method)
    tuned.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def traced(base_folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fine_tuned(base_folder, tmp_path_factory.mktemp("traced") / "run", "trace")


def config(table: Path, output: Path, model: str, **options: Any) -> ImportanceConfig:
    defaults = {"samples": 24, "batch_size": 12, "beta": 2, "head_epochs": 1.0, "max_steps": 4, "device": "cpu"}
    given = {"data": str(table), "output": str(output), "model": model, **defaults, **options}
    return from_mapping(ImportanceConfig, given)


def test_a_fine_tuned_folder_with_the_exact_shapley_values_beside(traced: str, table: Path, tmp_path: Path) -> None:
    found = importance(config(table, tmp_path / "out", traced, shapley_pairs=1))
    written = json.loads((tmp_path / "out" / "importance.json").read_text())
    kept = json.loads((Path(traced) / "trace.json").read_text())["selection"]["kept"]
    assert written["modules"] == kept
    assert set(written["scores"]) == set(SCORES)
    scores = pd.read_csv(tmp_path / "out" / "scores.csv", float_precision="round_trip")
    assert len(scores) == len(SCORES) * len(kept)
    for each in found:
        rows = scores[scores["score"] == each.method]
        np.testing.assert_array_equal(rows["value"], each.scores)
        assert list(rows["module"]) == list(each.names)
        entry = written["scores"][each.method]
        assert entry["forward_equivalents"] == each.forward_equivalents
        assert entry["seconds"] == each.seconds
    shapley = np.array(list(written["scores"]["shapley"]["values"].values()))
    agreement = pd.read_csv(tmp_path / "out" / "agreement.csv").set_index("score")
    assert set(agreement.index) == set(SCORES) - {"shapley"}
    exact = scores[scores["score"] == "leave_one_out"]["value"]
    expected = stats.spearmanr(exact, shapley).statistic
    assert agreement.loc["leave_one_out", "spearman"] == pytest.approx(expected)
    assert written["agreement"][0]["modules"] == len(kept)
    for name in ("heatmap.png", "history.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 200


def test_gated_dsic_agrees_with_shapley_on_a_model_that_was_trained_here(
    base_folder: str, table: Path, tmp_path: Path
) -> None:
    options = {"shapley_pairs": 6, "max_steps": 40, "learning_rate": 1e-2, "samples": 96, "context": "shapley"}
    options["batch_size"] = 48  # 256 sets of open modules are read, batch by batch
    importance(
        config(
            table, tmp_path / "out", base_folder, scores=("gated_dsic", "random"), prediction_length=HORIZON,
            target_modules=("*.block.1.*", "*.block.0.*.q"), **options,
        )
    )  # fmt: skip
    written = json.loads((tmp_path / "out" / "importance.json").read_text())
    assert len(written["modules"]) == 8
    agreement = {row["score"]: row for row in written["agreement"]}
    assert agreement["gated_dsic"]["spearman"] > 0.8
    assert not (tmp_path / "out" / "history.png").exists()


def test_an_interrupted_run_goes_on_with_its_shapley_values(
    base_folder: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"scores": ("gated_dsic",), "prediction_length": HORIZON}  # 14 modules: sampled, not exact

    class Killed(Exception):
        pass

    def killed(*arguments: Any, **options: Any) -> None:
        raise Killed

    whole = importance(config(table, tmp_path / "whole", base_folder, shapley_pairs=2, **options))
    with monkeypatch.context() as patch:
        patch.setattr("tracetune.estimators.module_importance.track", killed)
        with pytest.raises(Killed):
            importance(config(table, tmp_path / "cut", base_folder, shapley_pairs=1, **options))
    assert {path.name for path in (tmp_path / "cut.unfinished").iterdir()} == {STATE_FILE, "run.json"}
    first = json.loads((tmp_path / "cut.unfinished" / STATE_FILE).read_text())["gains"]
    with pytest.raises(InputError, match=r"another run: .*seed 0 there, 7 here"):
        importance(config(table, tmp_path / "cut", base_folder, shapley_pairs=2, **options, seed=7))
    resumed = importance(config(table, tmp_path / "cut", base_folder, shapley_pairs=2, **options))
    assert not (tmp_path / "cut.unfinished").exists()
    assert json.loads((tmp_path / "cut" / STATE_FILE).read_text())["gains"][:1] == first
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_run_is_the_same_whether_its_learning_rate_was_given_or_not(table: Path, tmp_path: Path) -> None:
    windows = Windows([np.sin(np.arange(200, dtype=np.float32) / 3)[None]], CONTEXT, HORIZON)
    data, backbone = TrainingData(windows, windows), tiny_backbone()

    def identity(**rates: float) -> dict[str, Any]:
        given = config(table, tmp_path / "out", "tiny", prediction_length=HORIZON, **rates)
        fit = lora_fit(given.lora, given.training, given.scoring)
        task = Forecasting(HORIZON, CONTEXT)
        return _identity(ScoredModules(task, backbone, None, None, "tiny", data, fit, "cpu"), given)

    assert identity()["learning_rate"] == 5e-4
    assert identity() == identity(learning_rate=5e-4) != identity(learning_rate=1e-3)


def test_without_shapley_there_is_no_agreement(traced: str, table: Path, tmp_path: Path) -> None:
    found = importance(config(table, tmp_path / "out", traced, scores=("magnitude",)))
    assert [each.method for each in found] == ["magnitude"]
    assert not (tmp_path / "out" / "agreement.csv").exists()
    assert pd.read_csv(tmp_path / "out" / "scores.csv")["standard_error"].isna().all()


@pytest.mark.parametrize("method", ["linear_probe", "adalora"])
def test_a_model_without_lora_modules_is_refused(base_folder: str, table: Path, tmp_path: Path, method: str) -> None:
    folder = fine_tuned(base_folder, tmp_path / "run", method)
    with pytest.raises(InputError, match=f"Expected LoRA modules .* found none.*method '{method}'"):
        importance(config(table, tmp_path / "out", folder))
    assert not (tmp_path / "out").exists()


def test_wrong_use_is_explained(base_folder: str, traced: str, table: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    seasonal_frame(length=20).to_csv(short, index=False)
    with pytest.raises(InputError, match="No series is long enough for training and validation"):
        importance(config(str(short), tmp_path / "out", traced))
    with pytest.raises(InputError, match="at least 3 LoRA modules to compare rankings of, found 2"):
        options = {"target_modules": ("*.q",), "shapley_pairs": 1, "prediction_length": HORIZON}
        importance(config(table, tmp_path / "out", base_folder, **options))
    assert not (tmp_path / "out").exists()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        importance(config(table, tmp_path / "used", traced))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": ("gated_dsik",)}, "Did you mean 'gated_dsic'"),
        ({"scores": ("shapley",)}, "Ask for --shapley-pairs"),
        ({"samples": 0}, "samples of at least 1"),
        ({"shapley_pairs": -1}, "shapley_pairs of at least 0"),
        ({"dataset": "ETTh1"}, "found both"),
        ({"output": None}, "Expected --output"),
    ],
)
def test_unusable_configurations_are_refused(table: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        importance(from_mapping(ImportanceConfig, {"data": str(table), "output": "out", **options}))


MORE = {
    "classification": {"validation_share": 0.5},
    "anomaly": {"loss": "metric"},
    "imputation": {"start": "zero-shot", "related": 1},
}


def table_of_task(task: str, path: Path) -> str:
    steps = np.arange(480 if task == "anomaly" else 240)  # so many that windows have neighbours
    noise = np.random.default_rng(0).normal(size=(2, len(steps)))
    frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=len(steps), freq="h"), "a": np.sin(steps / 4)})
    frame = frame.assign(a=frame["a"] + 0.1 * noise[0], b=frame["a"] + 0.1 * noise[1])
    if task == "classification":
        items = [frame.iloc[24 * n : 24 * n + 24].assign(series=f"s{n}", label="ab"[n % 2]) for n in range(8)]
        frame = pd.concat(items)
    if task == "anomaly":
        frame["label"] = 0
    frame.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("task", MORE)
def test_every_task_has_its_importance(task: str, base_folder: str, tmp_path: Path) -> None:
    assert COMMANDS["importance"].variants[task].recipe == f"{task}.importance:importance"
    settings, recipe = config_of("importance", task), importlib.import_module(f"tracetune.recipes.{task}.importance")
    given = {"scores": ("gated_dsic", "magnitude"), "samples": 4, "batch_size": 4, "max_steps": 1, "device": "cpu"}
    data = table_of_task(task, tmp_path / "table.csv")
    output = tmp_path / "out"
    values = {"data": data, "model": base_folder, "output": str(output), **given, **MORE[task]}
    found = recipe.importance(from_mapping(settings, values))
    assert [each.method for each in found] == ["gated_dsic", "magnitude"]
    written = json.loads((output / "importance.json").read_text())
    assert len(written["modules"]) == 14
    assert all("label" not in each for each in written["modules"])
    scores = pd.read_csv(output / "scores.csv", float_precision="round_trip")
    np.testing.assert_array_equal(scores[scores["score"] == "gated_dsic"]["value"], found[0].scores)
    with Image.open(output / "heatmap.png") as picture:
        assert min(picture.size) > 200
