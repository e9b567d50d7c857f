"""Damage to folders of models. Every case has a number, which decides everything about it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tracetune import InputError
from tracetune.base.files import file_digest
from tracetune.estimators.saved_model import _record_digest

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 10**6, 10**12, 10**400, float("nan"), float("inf"), "", "x", "12",
    [], {}, [None], [1, 2], ["x"], {"x": 1}, [[]], "\x00", "../../x", "a" * 5000,
)  # fmt: skip


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place inside a JSON value, the first few of a list."""
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
    """Make the folder of case ``number``; return which template it comes from, and whether its digests fit again."""
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


Use = Callable[[Path], np.ndarray]
"""Loads a folder and returns what its model finds."""


def attempt(numbers: range, templates: dict[str, Path], place: Path, use: Use) -> dict[str, int]:
    """Try the cases; how many were refused, loaded unchanged, or loaded with digests that fit.

    A model that loads, of a folder whose digests were not set right, must find what it found before.
    """
    expected = {name: use(folder) for name, folder in templates.items()}
    counts = {"refused": 0, "unchanged": 0, "consistent": 0}
    for number in numbers:
        folder = place / str(number)
        name, repaired = damaged(number, templates, folder)
        fitted = (templates[name] / "trace.json").exists()
        try:
            found = use(folder)
        except InputError as error:
            assert 20 < len(error.for_command_line()) < 2000, number
            counts["refused"] += 1
        except Exception as error:
            raise AssertionError(f"case {number} ({name}): {type(error).__name__}: {error}") from error
        else:
            assert np.isfinite(found).all(), number
            if not fitted or repaired:
                counts["consistent"] += 1
            else:
                np.testing.assert_array_equal(found, expected[name], err_msg=str(number))
                counts["unchanged"] += 1
        shutil.rmtree(folder)
    return counts
