"""The commands for texts, and the worked example of docs/text.md, on a tiny encoder with random weights."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.command_line import status
from tests.tiny_text import reviews, save_tiny_text
from tracetune.backbones.text_encoder_loading import load_text_encoder

DOCUMENT = Path(__file__).parents[3] / "docs" / "text.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with train.csv, test.csv and an encoder; commands run in it."""
    monkeypatch.chdir(tmp_path)
    save_tiny_text(tmp_path / "encoder")
    for seed, name in enumerate(("train", "test")):
        texts, labels = reviews(60, seed)
        pd.DataFrame({"text": texts, "label": labels}).to_csv(f"{name}.csv", index=False)
    return tmp_path


def test_the_commands_of_the_guide(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = re.search(r"```bash\n(tracetune finetune.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", " ").strip().splitlines()
    for line in lines:
        words = shlex.split(line.partition("#")[0])[1:]
        quick = ["--scores", "gated_dsic", "--target-modules", "*.query,*.value"] if words[0] == "importance" else []
        assert status(monkeypatch, *words, *quick) == 0, line
    printed = capsys.readouterr().out
    assert "balanced" in printed and "matthews" in printed
    assert "By class" in printed and "true class" in printed
    assert Path("confusion.png").is_file() and Path("classes.png").is_file()
    assert "tracetune classify train.csv --model runs/reviews" in printed
    classes = pd.read_csv("classes.csv")
    assert list(classes.columns) == ["text", "label", "predictions", "negative", "positive"]
    assert len(classes) == 60
    content = json.loads(Path("map/importance.json").read_text())
    assert {"gated_dsic", "shapley"} == set(content["scores"])
    assert Path("map/heatmap.png").is_file()
    plain = re.search(r"```python\n(import json\n.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert plain is not None
    names: dict[str, Any] = {}
    exec(plain[1], names)
    tokens = load_text_encoder("encoder").tokenizer(classes["text"][0], return_tensors="pt")
    with torch.no_grad():
        logits = names["model"](tokens["input_ids"], tokens["attention_mask"]).logits
    np.testing.assert_allclose(logits.softmax(-1)[0], classes.loc[0, ["negative", "positive"]].astype(float), atol=1e-6)


def test_wrong_use_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("finetune", "train.csv", "--task", "text", "--output", "out")
    assert status(monkeypatch, *common) == 2
    assert "Expected --model FOLDER or hub id" in capsys.readouterr().err
    assert status(monkeypatch, *common, "--model", "encoder", "--label-column", "stars") == 2
    assert "Expected a column 'stars', found" in capsys.readouterr().err
    assert status(monkeypatch, *common, "--model", "encoder", "--method", "full", "--keep", "0.25") == 2
    assert "--keep 0.25 changes nothing with the method 'full'" in capsys.readouterr().err
    assert not Path("out").exists()
    line = ("classify", "test.csv", "--task", "text", "--model", "encoder", "--output", "test.csv", "--overwrite")
    assert status(monkeypatch, *line) == 2
    assert "would replace what is read" in capsys.readouterr().err


def test_classes_are_written_with_the_marks_of_the_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, labels = reviews(24)
    prices = [f"{number},50" for number in range(24)]
    frame = pd.DataFrame({"Text": texts, "Preis": prices, "Urteil": labels})
    frame.to_csv("semicolons.csv", sep=";", index=False)
    common = ("--method", "linear_probe", "--model", "encoder", "--label-column", "Urteil", "--output", "run")
    assert status(monkeypatch, "finetune", "semicolons.csv", "--task", "text", *common) == 0
    assert status(monkeypatch, "classify", "semicolons.csv", "--model", "run", "--output", "classes.csv") == 0
    assert "classes.csv (semicolons between cells, decimal commas, as in the source)" in capsys.readouterr().out
    found = pd.read_csv("classes.csv", sep=";", decimal=",")
    assert found["Preis"].tolist() == [number + 0.5 for number in range(24)]
    assert found["positive"].between(0, 1).all()
