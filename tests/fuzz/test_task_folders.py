"""Folders of detectors, imputers and classifiers, damaged: a readable InputError, or what they found before."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.damage import Use, attempt
from tests.fuzz.small_tasks import LABELS, NAMES, SERIES, TABLE, TEXTS, settings
from tests.tiny import save_tiny
from tests.tiny_text import save_tiny_text
from tracetune import AnomalyDetector, Classifier, Imputer, TextClassifier

SHORT, LONG = 25, 700  # cases of each task


def detectors(root: Path) -> None:
    base = AnomalyDetector.from_pretrained(save_tiny(root / "base"), device="cpu")
    base.fit(TABLE, scorer="windows").save_pretrained(root / "untuned")
    base.fit(TABLE, settings("lora"), scorer="reconstruction").save_pretrained(root / "adapter")


def imputers(root: Path) -> None:
    base = Imputer.from_pretrained(save_tiny(root / "base"), device="cpu")
    for name, method in (("head", "linear_probe"), ("adapter", "lora"), ("whole", "full")):
        base.fit(TABLE, settings(method)).save_pretrained(root / name)


def classifiers(root: Path) -> None:
    base = Classifier.from_pretrained(save_tiny(root / "base"), device="cpu")
    base.fit(SERIES, NAMES, settings("lora"), folds=2).save_pretrained(root / "adapter")


def text_classifiers(root: Path) -> None:
    base = TextClassifier.from_pretrained(save_tiny_text(root / "base"), device="cpu")
    base.fit(TEXTS, LABELS, settings("lora")).save_pretrained(root / "adapter")


def detected(folder: Path) -> np.ndarray:
    if not (folder / "trace.json").exists():  # a foundation model knows nothing to compare with
        AnomalyDetector.from_pretrained(folder, device="cpu")
        return np.zeros(1)
    found = AnomalyDetector.from_pretrained(folder, device="cpu").detect(TABLE)
    return np.asarray(found[["score", "threshold", "alarm"]].to_numpy(dtype=float))


def imputed(folder: Path) -> np.ndarray:
    gappy = TABLE.assign(a=TABLE["a"].mask(TABLE.index // 4 == 20))
    levels = [0.1, 0.9] if (folder / "trace.json").exists() else None
    filled = Imputer.from_pretrained(folder, device="cpu").impute(gappy, levels)
    return filled.loc[80:83].select_dtypes(float).filter(regex="^a").to_numpy()


def classified(folder: Path) -> np.ndarray:
    if not (folder / "trace.json").exists():
        Classifier.from_pretrained(folder, device="cpu")
        return np.zeros(1)
    return Classifier.from_pretrained(folder, device="cpu").predict(SERIES[:3])


def read(folder: Path) -> np.ndarray:
    if not (folder / "trace.json").exists():
        TextClassifier.from_pretrained(folder, device="cpu")
        return np.zeros(1)
    return TextClassifier.from_pretrained(folder, device="cpu").predict(TEXTS[:3])


TASKS: dict[str, tuple[Callable[[Path], None], Use]] = {
    "anomaly": (detectors, detected),
    "imputation": (imputers, imputed),
    "classification": (classifiers, classified),
    "text": (text_classifiers, read),
}


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], Use]:
    """Return whole folders of a task, and what their models are asked."""
    root = tmp_path_factory.mktemp(request.param)
    save, use = TASKS[request.param]
    logging.disable()
    save(root)
    logging.disable(logging.NOTSET)
    return {folder.name: folder for folder in sorted(root.iterdir())}, use


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_folders_of_every_task(task: tuple[dict[str, Path], Use], tmp_path: Path) -> None:
    templates, use = task
    assert attempt(range(SHORT), templates, tmp_path, use)["refused"] > SHORT / 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_many_damaged_folders_of_every_task(
    task: tuple[dict[str, Path], Use], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    templates, use = task
    counts = attempt(range(SHORT, SHORT + LONG), templates, tmp_path, use)
    with capsys.disabled():
        print(f"\n{sorted(templates)} {counts}")
    assert counts["refused"] > LONG / 3
