"""Damaged tables and .ts files given to every task: an answer, or a refusal that can be read, and no half output.

Every case has a number, which decides everything about it.
"""

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fuzz.damaged_bytes import damaged, mutated_bytes, no_hang
from tests.fuzz.small_tasks import NAMES, SERIES, TABLE, TEXTS, WAVE, settings
from tests.tiny import save_tiny
from tests.tiny_text import reviews, save_tiny_text
from tracetune import AnomalyDetector, Classifier, Imputer, InputError, TextClassifier
from tracetune.base.config import from_mapping
from tracetune.recipes.anomaly import commands as anomaly
from tracetune.recipes.anomaly import settings as anomaly_settings
from tracetune.recipes.classification import commands as classification
from tracetune.recipes.classification import settings as classification_settings
from tracetune.recipes.imputation import commands as imputation
from tracetune.recipes.imputation import settings as imputation_settings
from tracetune.recipes.text import commands as text
from tracetune.recipes.text import settings as text_settings

SHORT, LONG = 8, int(os.environ.get("FUZZ_CASES", "200"))  # cases of each kind

DAYS = pd.date_range("2024-08-28", periods=40).strftime("%Y-%m-%d")
LABELLED = pd.DataFrame({"day": DAYS, "a": WAVE[:40].round(3), "b": WAVE[5:45].round(3), "label": [0] * 30 + [1] * 10})
GAPPY = LABELLED.drop(columns="label").assign(a=lambda frame: frame.a.where(frame.index % 7 > 0))
ROWS = pd.DataFrame(np.concatenate(SERIES[:6])[:, :24].round(3), columns=[f"t{step}" for step in range(24)]).assign(
    label=NAMES[:6]
)
STEPS = pd.concat(
    [
        pd.DataFrame(
            {"id": f"s{number}", "step": range(20), "value": SERIES[number][0, :20].round(3), "label": NAMES[number]}
        )
        for number in range(3)
    ]
)
SENTENCES = pd.DataFrame(dict(zip(("text", "label"), reviews(8, seed=4), strict=True)))
TS = "@problemName Toy\n@timeStamps false\n@univariate true\n@classLabel true fast slow\n@data\n" + "".join(
    f"{','.join(f'{value:.2f}' for value in series[0, :12])}:{name}\n"
    for series, name in zip(SERIES[:5], NAMES, strict=False)
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a model of each task, fitted on whole tables with the columns of the damaged ones."""
    root = tmp_path_factory.mktemp("models")
    base, encoder = save_tiny(root / "base"), save_tiny_text(root / "encoder")
    logging.disable()
    found = {
        "anomaly": AnomalyDetector.from_pretrained(base, device="cpu").fit(TABLE, scorer="windows"),
        "imputation": Imputer.from_pretrained(base, device="cpu").fit(TABLE, settings("linear_probe")),
        "classification": Classifier.from_pretrained(base, device="cpu").fit(
            SERIES, NAMES, settings("linear_probe"), folds=2
        ),
        "text": TextClassifier.from_pretrained(encoder, device="cpu").fit(
            TEXTS, reviews(24)[1], settings("linear_probe")
        ),
        "base": AnomalyDetector.from_pretrained(base, device="cpu"),
    }
    logging.disable(logging.NOTSET)
    return found


def written(frame: pd.DataFrame, rng: random.Random, folder: Path) -> Path:
    """Write a damaged table: of text, packed in Parquet, or a column exchanged for something odd."""
    kind = rng.choice(("text", "text", "text", "parquet", "odd"))
    if kind == "text":
        path = folder / rng.choice(("table.csv", "table.tsv"))
        separator = "," if path.suffix == ".csv" else "\t"
        content = mutated_bytes(frame.to_csv(index=False).encode(), rng)
        path.write_bytes(content if separator == "," else content.replace(b",", b"\t"))
        return path
    path = folder / "table.parquet"
    if kind == "odd":
        column = rng.choice(list(frame.columns))
        odd: list[Any] = [
            None, "x", "", 0, -1, 2, 0.5, 1e300, float("inf"), float("nan"), "nan", True, "0", "2024-08-30", 10**18,
        ]  # fmt: skip
        values = rng.choices(odd[:2], k=len(frame)) if rng.random() < 0.3 else [rng.choice(odd)] * len(frame)
        frame = frame.assign(**{column: values})
        frame = frame.drop(columns=rng.choice(list(frame.columns))) if rng.random() < 0.3 else frame
    frame.to_parquet(path)
    if kind == "parquet":
        path.write_bytes(damaged(path.read_bytes(), rng))
    return path


def written_ts(rng: random.Random, folder: Path) -> Path:
    """Write a damaged .ts file: bytes, and words of its header exchanged."""
    content = TS
    for _ in range(rng.randint(0, 2)):
        old = rng.choice(("@data", "true", "false", ":", ",", "fast", "@classLabel", "\n", "0.", "@timeStamps false"))
        new = rng.choice(("", "?", "@data", ":", ",", "inf", "NaN", "1e999", "1_0", "(", "@timeStamps true", "\n\n"))
        content = content.replace(old, new, rng.choice((1, 1, -1)))
    path = folder / "waves.ts"
    path.write_bytes(mutated_bytes(content.encode(), rng) if rng.random() < 0.7 else content.encode())
    return path


ODD_JSON: list[Any] = [
    None, {}, [], [1], {"a": 1}, "", "x", "1_000", "nan", True, -1, 2, 1e300, float("nan"), float("inf"), 10**18,
    10**400,
]  # fmt: skip


def written_json(frame: pd.DataFrame, rng: random.Random, folder: Path) -> Path:
    """Write a damaged JSON table: records or columns, values exchanged, keys lost or new, bytes changed."""
    path = folder / rng.choice(("table.json", "table.json", "table.jsonl"))
    records = json.loads(frame.to_json(orient="records"))
    for _ in range(rng.randint(0, 3)):
        key = rng.choice([*records[0], "more"])
        chosen = records if rng.random() < 0.3 else rng.sample(records, rng.randint(1, 3))
        value, lost = rng.choice(ODD_JSON), rng.random() < 0.2
        for record in chosen:
            record.pop(key, None)
            if not lost:
                record[key] = value
    if path.suffix == ".jsonl":
        content = "\n".join(map(json.dumps, records))
    elif rng.random() < 0.3:
        content = frame.reset_index(drop=True).to_json(
            orient=rng.choice(("columns", "index", "split", "values", "table"))
        )
    else:
        content = json.dumps(records if rng.random() < 0.7 else {"data": records}, indent=rng.choice((None, 1)))
    path.write_bytes(mutated_bytes(content.encode(), rng) if rng.random() < 0.4 else content.encode())
    return path


def detect(path: Path, folder: Path) -> None:
    run = {"data": str(path), "model": "detector", "output": str(folder / "found.csv"), "overwrite": True}
    anomaly.detect(from_mapping(anomaly_settings.DetectConfig, {**run, "events": str(folder / "events.csv")}))


def measure_detector(path: Path, folder: Path) -> None:
    anomaly.evaluate(from_mapping(anomaly_settings.EvaluateConfig, {"data": str(path), "model": "detector"}))


def impute(path: Path, folder: Path) -> None:
    run = {"data": str(path), "model": "imputer", "output": str(folder / "found.csv"), "overwrite": True}
    imputation.impute(from_mapping(imputation_settings.ImputeConfig, {**run, "quantiles": ["0.1"]}))


def classify(path: Path, folder: Path) -> None:
    run = {"data": str(path), "model": "classifier", "output": str(folder / "found.csv"), "overwrite": True}
    classification.classify(from_mapping(classification_settings.ClassifyConfig, run))


def measure_classifier(path: Path, folder: Path) -> None:
    classification.evaluate(
        from_mapping(classification_settings.EvaluateConfig, {"data": str(path), "model": "classifier"})
    )


def classify_texts(path: Path, folder: Path) -> None:
    run = {"data": str(path), "model": "classifier", "output": str(folder / "found.csv"), "overwrite": True}
    text.classify(from_mapping(text_settings.ClassifyConfig, run))


def measure_texts(path: Path, folder: Path) -> None:
    text.evaluate(from_mapping(text_settings.EvaluateConfig, {"data": str(path), "model": "classifier"}))


Use = Callable[[Path, Path], None]
KINDS: dict[str, tuple[pd.DataFrame | None, Use]] = {
    "detect": (LABELLED.drop(columns="label"), detect),
    "labels of steps": (LABELLED, measure_detector),
    "impute": (GAPPY, impute),
    "classify, a series a row": (ROWS, classify),
    "labels of series": (ROWS, measure_classifier),
    "labels on every step": (STEPS, measure_classifier),
    ".ts files": (None, classify),
    "labels of .ts files": (None, measure_classifier),
    "classify texts": (SENTENCES, classify_texts),
    "labels of texts": (SENTENCES, measure_texts),
}


KINDS |= {f"{kind}, JSON": pair for kind, pair in KINDS.items() if pair[0] is not None}


def check(kind: str, numbers: range, folder: Path) -> Counter[str]:
    """Try damaged tables of a kind; how many were read and refused."""
    frame, use = KINDS[kind]
    outcomes: Counter[str] = Counter()
    for number in numbers:
        rng = random.Random(f"{kind} {number}")
        if frame is None:
            path = written_ts(rng, folder)
        else:
            path = (written_json if kind.endswith("JSON") else written)(frame, rng, folder)
        for left in folder.glob("found.csv"):
            left.unlink()
        try:
            with no_hang():
                use(path, folder)
            outcomes["read"] += 1
        except InputError as error:
            assert 20 < len(str(error)) < 2000 and len(error.for_command_line()) < 2000, (kind, number)
            assert not (folder / "found.csv").exists(), (kind, number)
            outcomes["refused"] += 1
        except Exception as error:
            kept = folder / f"bad_{number}{path.suffix}"
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"{kind} {number}: {type(error).__name__}: {error} ({kept})") from error
    return outcomes


@pytest.fixture
def loaded(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the recipes their models, which are not what is tried here."""
    for recipe in (anomaly, imputation, classification, text):
        task = recipe.__name__.split(".")[-2]
        monkeypatch.setattr(recipe, "_load", lambda *_, model=models[task]: model)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tables_of_every_task(kind: str, tmp_path: Path) -> None:
    assert sum(check(kind, range(SHORT), tmp_path).values()) == SHORT


@pytest.mark.slow
@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_tables_of_every_task(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = check(kind, range(SHORT, SHORT + LONG), tmp_path)
    with capsys.disabled():
        print(f"\n{kind} {dict(outcomes)}")
    assert min(outcomes["read"], outcomes["refused"]) > 0
