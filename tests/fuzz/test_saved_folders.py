"""Folders of models, damaged in thousands of ways: an InputError that can be read, or the forecasts as they were.

Every case has a number, which decides everything about it. Where a record is damaged, half of the cases set its digests
right again, so that what lies behind them is tried too.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import HORIZON, save_tiny, tiny_backbone
from tracetune import Forecaster, HeadConfig, InputError, LoraOptions
from tracetune.adapters.checkpoint import file_digest
from tracetune.adapters.lora import add_lora
from tracetune.estimators.intervals import LEVELS, ResidualQuantiles
from tracetune.estimators.saved_model import _record_digest
from tracetune.tasks.forecasting import ForecastModel

SHORT, LONG = 120, 2400
SERIES = np.sin(np.arange(80) / 3)[None]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 10**6, 10**12, 10**400, float("nan"), float("inf"), "", "x", "12",
    [], {}, [None], [1, 2], ["x"], {"x": 1}, [[]], "\x00", "../../x", "a" * 5000,
)  # fmt: skip


def record(model: ForecastModel, base: str, digest: str | None) -> dict[str, Any]:
    return {
        "method": "lora",
        "winner": "lora",
        "base_model": {"name": base, "weights_sha256": digest},
        "prediction_length": HORIZON,
        "context_length": model.context_length,
        "head": vars(model.head_config),
        "candidates": [{"name": "lora", "validation_loss": 0.5}],
        "validation": {"margin": 1.0},
        "parameters": {"head": 1, "adapters": 2},
        "seconds": {"lora": 0.5},
        "selection": None,
        "data": {"items": 1, "channels": ["target"], "freq": "h"},
        "config": {"method": {"name": "lora"}},
        "seed": 0,
        "versions": {"torch": "2"},
    }


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A foundation model, a model with adapters on it, one that carries its backbone, and a whole one."""
    from tracetune.backbones.loading import weights_digest

    root = tmp_path_factory.mktemp("templates")
    base = save_tiny(root / "base")
    values = np.sort(np.random.default_rng(0).normal(size=(HORIZON, len(LEVELS))), axis=1)
    intervals = ResidualQuantiles(np.array(LEVELS), values)
    for name, digest in (("adapter", weights_digest(tiny_backbone())), ("with_backbone", None), ("whole", None)):
        model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("projection", beta=2))
        trace = record(model, base, digest)
        adapted = model if name == "whole" else add_lora(model, LoraOptions())
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        Forecaster(adapted, base, trace=trace, intervals=intervals, device="cpu").save_pretrained(root / name)
    return {name: root / name for name in ("base", "adapter", "with_backbone", "whole")}


def forecast(folder: Path) -> np.ndarray:
    fitted = (folder / "trace.json").exists()
    model = Forecaster.from_pretrained(folder, None if fitted else HORIZON, device="cpu")
    return next(model.predict_arrays([SERIES]))


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value, the first few of a list."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else list(enumerate(content))[:3]
        if isinstance(content, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def damage_json(path: Path, rng: random.Random) -> None:
    """Remove, rename or replace something inside a JSON file."""
    content = json.loads(path.read_text())
    place = rng.choice(places(content))
    if not place:
        path.write_text(json.dumps(rng.choice(VALUES)))
        return
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    how = rng.choice(("remove", "rename", "replace", "replace"))
    if how == "replace" or isinstance(inner, list):
        inner[place[-1]] = rng.choice(VALUES)
    else:
        value = inner.pop(place[-1])
        if how == "rename":
            inner[f"{place[-1]}_"] = value
    path.write_text(json.dumps(content))


def damage_bytes(path: Path, rng: random.Random) -> None:
    """Cut a file, empty it, change bytes, or add some."""
    content = bytearray(path.read_bytes())
    how = rng.choice(("cut", "empty", "change", "change head", "add"))
    if how == "cut":
        content = content[: rng.randrange(len(content))]
    elif how == "empty":
        content = bytearray()
    elif how == "add":
        content += bytes(rng.randrange(256) for _ in range(rng.randrange(1, 20)))
    else:
        for _ in range(rng.randrange(1, 5)):
            content[rng.randrange(min(len(content), 200 if how == "change head" else len(content)))] = rng.randrange(
                256
            )
    path.write_bytes(bytes(content))


def damage_folder(path: Path, others: list[Path], rng: random.Random) -> None:
    """Remove a file, put a folder or another model's file in its place."""
    path.unlink()
    how = rng.choice(("remove", "folder", "other", "other"))
    if how == "folder":
        path.mkdir()
    elif how == "other":
        shutil.copy(rng.choice(others), path)


def set_digests_right(folder: Path) -> None:
    try:
        content = json.loads((folder / "trace.json").read_text())
        for name in content["files"]:
            if (folder / name).is_file():
                content["files"][name] = file_digest(folder / name)
        content["record_sha256"] = _record_digest(content)
        (folder / "trace.json").write_text(json.dumps(content))
    except (KeyError, TypeError, AttributeError, ValueError, OSError):
        return  # too damaged to have any


def damaged(number: int, templates: dict[str, Path], place: Path) -> tuple[str, bool]:
    """Make the folder of case ``number``; which template it comes from, and whether its digests fit again."""
    rng = random.Random(number)
    name = rng.choice(sorted(templates))
    shutil.copytree(templates[name], place)
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != "README.md")
    records = [path for path in files if path.suffix == ".json"]
    others = [path for folder in templates.values() for path in sorted(folder.rglob("*")) if path.is_file()]
    for _ in range(rng.choice((1, 1, 1, 2))):
        kind: Callable[..., None] = rng.choice((damage_json, damage_json, damage_json, damage_bytes, damage_folder))
        target = rng.choice(records if kind is damage_json else files)
        if not target.is_file():
            continue
        try:
            kind(target, others, rng) if kind is damage_folder else kind(target, rng)
        except ValueError:  # no JSON any more
            damage_bytes(target, rng) if target.stat().st_size else None
    repaired = rng.random() < 0.5
    if repaired:
        set_digests_right(place)
    return name, repaired


def attempt(numbers: range, templates: dict[str, Path], place: Path) -> dict[str, int]:
    """Try the cases; how many were refused, loaded unchanged, or loaded with digests that fit."""
    expected = {name: forecast(folder) for name, folder in templates.items()}
    counts = {"refused": 0, "unchanged": 0, "consistent": 0}
    for number in numbers:
        folder = place / str(number)
        name, repaired = damaged(number, templates, folder)
        try:
            found = forecast(folder)
        except InputError as error:
            assert 20 < len(error.for_command_line()) < 2000, number
            counts["refused"] += 1
        except Exception as error:
            raise AssertionError(f"case {number} ({name}): {type(error).__name__}: {error}") from error
        else:
            assert np.isfinite(found).all(), number
            if name == "base" or repaired:
                counts["consistent"] += 1
            else:
                np.testing.assert_array_equal(found, expected[name], err_msg=str(number))
                counts["unchanged"] += 1
        shutil.rmtree(folder)
    return counts


def test_damaged_folders(templates: dict[str, Path], tmp_path: Path) -> None:
    assert attempt(range(SHORT), templates, tmp_path)["refused"] > SHORT / 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_many_damaged_folders(templates: dict[str, Path], tmp_path: Path) -> None:
    counts = attempt(range(SHORT, SHORT + LONG), templates, tmp_path)
    print(counts)
    assert counts["refused"] > LONG / 2
