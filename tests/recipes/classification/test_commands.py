"""Classification on the command line and in its guide: from a table to classes, scores and a picture."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.tiny import save_tiny
from tracetune import InputError
from tracetune.base.config import from_mapping
from tracetune.recipes.classification.commands import classify, evaluate, finetune
from tracetune.recipes.classification.settings import ClassifyConfig, EvaluateConfig, FinetuneConfig

GUIDE = Path(__file__).parents[3] / "docs" / "classification.md"


def waves(path: Path, seed: int) -> str:
    rng = np.random.default_rng(seed)
    labels = np.arange(24) % 2
    values = np.sin(np.arange(60) / (2 + 4 * labels[:, None]) + rng.uniform(0, 6, (24, 1)))
    frame = pd.DataFrame(values.round(4), columns=[f"t{step}" for step in range(60)])
    frame.assign(state=np.where(labels == 1, "slow", "fast")).to_csv(path, index=False)
    return str(path)


def test_a_table_is_learned_from_classified_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, train = save_tiny(tmp_path / "base"), waves(tmp_path / "train.csv", 0)
    options: dict[str, Any] = {"data": train, "label_column": "state", "model": model, "method": "linear_probe"}
    finetune(from_mapping(FinetuneConfig, {**options, "output": str(tmp_path / "run"), "device": "cpu", "folds": 2}))
    assert "train.csv: 24 series, 1 channel, 60 steps each, classes 'fast' (12), 'slow' (12)" in capsys.readouterr().out
    known = {"model": str(tmp_path / "run"), "device": "cpu"}
    test = waves(tmp_path / "test.csv", 1)
    picture = tmp_path / "confusion.svg"
    found = evaluate(from_mapping(EvaluateConfig, {**known, "data": test, "plot": str(picture)}))
    assert found.accuracy > 0.8
    assert "predicted class" in picture.read_text(encoding="utf-8")
    evaluate(from_mapping(EvaluateConfig, {**known, "data": test, "plot": str(tmp_path / "classes.html")}))
    page = (tmp_path / "classes.html").read_text(encoding="utf-8")
    assert "<h2>By class</h2>" in page and "predicted class" in page
    scores = tmp_path / "scores.csv"
    evaluate(from_mapping(EvaluateConfig, {**known, "data": test, "output": str(scores)}))
    pd.testing.assert_frame_equal(pd.read_csv(scores), found.scores)
    with pytest.raises(InputError, match="exists already"):
        evaluate(from_mapping(EvaluateConfig, {**known, "data": test, "output": str(scores)}))
    for plot, message in ((picture, "exists already"), (tmp_path / "c.xyz", r"ends in \.png"), (tmp_path, "ends in")):
        with pytest.raises(InputError, match=message):
            evaluate(from_mapping(EvaluateConfig, {**known, "data": test, "plot": str(plot)}))
    pd.read_csv(test).drop(columns="state").to_csv(tmp_path / "new.csv", index=False)
    output = tmp_path / "classes.csv"
    drawn = {"output": str(output), "plot": str(tmp_path / "classes.svg")}
    classify(from_mapping(ClassifyConfig, {**known, **drawn, "data": str(tmp_path / "new.csv")}))
    assert "speaks for the class" in (tmp_path / "classes.svg").read_text(encoding="utf-8")
    written = pd.read_csv(output)
    assert written.columns.tolist() == ["item_id", "predictions", "fast", "slow"]
    assert (written["predictions"] == pd.read_csv(test)["state"]).mean() == found.accuracy
    with pytest.raises(InputError, match="exists already"):
        classify(from_mapping(ClassifyConfig, {**known, "data": test, "output": str(output)}))


def test_the_guide_s_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example, estimator = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["found"].accuracy > 0.7
    assert names["speaks"].shape == (1, 64)
    assert (tmp_path / "digits" / "trace.json").is_file()
    exec(estimator, names)
    values, labels = names["values"][:80], names["labels"][:80] * 10  # 10 comes before 9 among texts
    pipeline = make_pipeline(FunctionTransformer(np.sqrt), names["SeriesClassifier"]())
    assert clone(pipeline).fit(values, labels).score(values, labels) > 0.9
