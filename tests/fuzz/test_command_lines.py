"""Command lines and configuration files of all kinds: the recipe begins, or status 2 and a message that can be read.

Every case has a number, which decides everything about it. Recipes are replaced by nothing: what is tried is all that
happens before one begins.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tracetune.cli import app

SHORT, LONG = 200, 4000
WORDS = (
    "", " ", "0", "1", "-1", "3", "0.5", "-0.5", "1e20", "1e-20", "1" + "0" * 400, "nan", "inf", "-inf", "true",
    "False", "auto", "none", "null", "trace", "lora", "a,b", ",", ",,", "=", "--", "-", "--help", "-h", "x" * 3000,
    "ä€😀", "\x00", "\n", "[]", "{}", "[1,", "'", '"', "$HOME", "../..", "/", "/dev/null", "data.csv", "sales.csv",
    "2020-01-01", "h:mean", "classification", "forecasting", "anomaly", "imputation", "text", "neighbours",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, float("nan"), float("inf"), 10**400, "", "auto", "x", "x" * 3000, "sales.csv",
    [], [1], ["a", "b"], [None], {}, {"a": 1}, [[1]], "\x07", "anomaly", "text", "linear_probe", "windows",
)  # fmt: skip


def flags(name: str, task: str) -> list[str]:
    """Return the flags of a command for a task."""
    command = app.build_command(name, task)
    every = [flag for each in command.params for flag in (*each.opts, *each.secondary_opts)]
    return [*dict.fromkeys(every), "--help"]


def required(rng: random.Random, name: str, task: str, known: list[str]) -> list[str]:
    """Return what a command line mostly needs before any other flag of it counts: task, table, output and model."""
    made = []
    if task != next(iter(app.COMMANDS[name].variants)) and rng.random() < 0.9:
        made += ["--task", task]
    if rng.random() < 0.8:
        made.append(rng.choice(["sales.csv", "sales.csv", "waves.ts"]))
    if "--output" in known and name in ("finetune", "importance") and rng.random() < 0.8:
        made += ["--output", "new"]
    if "--model" in known and rng.random() < 0.6:
        made += ["--model", rng.choice([f"saved_{task}", f"saved_{task}", "saved_forecasting"])]
    return made


def arguments(rng: random.Random, variants: dict[tuple[str, str], list[str]], folder: Path) -> list[str]:
    """Return a command line for one of the variants, with the flags of it or, now and then, of another."""
    name, task = rng.choice(list(variants))
    known = variants[name, task]
    made = [rng.choice([*[name] * 8, name[:-1], name.upper()]), *required(rng, name, task, known)]
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        of = known if rng.random() < 0.9 else rng.choice(list(variants.values()))
        flag = rng.choice([flag for flag in of if flag.startswith("--") and flag != "--config"])
        kind = rng.randrange(5)
        if kind == 0:
            made.append(flag[: rng.randrange(2, len(flag) + 1)])
        elif kind == 1:
            made.append(f"{flag}={rng.choice(WORDS)}")
        else:
            made += [flag, *(rng.choice(WORDS) for _ in range(rng.randint(0, 2)))]
    if rng.random() < 0.4:
        made += ["--config", str(configuration(rng, known, folder))]
    return made


def configuration(rng: random.Random, known: list[str], folder: Path) -> Path:
    names = [flag[2:].replace("-", "_") for flag in known if flag.startswith("--")] + ["data", "unknown", "lr"]
    content = yaml.safe_dump({rng.choice(names): rng.choice(VALUES) for _ in range(rng.randint(0, 5))}).encode()
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        place = rng.randrange(len(content) + 1)
        content = (
            content[:place] + rng.choice([b"\x00", b":", b"- ", b"\xff", b"{", b"&a ", b"*a", b"\t"]) + content[place:]
        )
    path = folder / "run.yaml"
    path.write_bytes(content)
    return path


def leave(line: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line; returns its status."""
    monkeypatch.setattr(sys, "argv", ["tracetune", *line])
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def try_all(cases: range, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sales.csv").write_text("date,sales\n2020-01-01,1\n2020-01-02,2\n")
    (folder / "waves.ts").write_text("@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n")
    monkeypatch.chdir(folder)
    imported = app._imported
    monkeypatch.setattr(app, "_imported", lambda place: imported(place) if "Config" in place else lambda config: None)
    variants = {(name, task): flags(name, task) for name in app.COMMANDS for task in app.COMMANDS[name].variants}
    for task in {task for _, task in variants if task}:
        (folder / f"saved_{task}").mkdir()
        (folder / f"saved_{task}" / "trace.json").write_text(json.dumps({"task": task}))
    statuses = {0: 0, 2: 0}
    for case in cases:
        line = arguments(random.Random(case), variants, folder)
        status = leave(line, monkeypatch)
        said = capsys.readouterr()
        assert status in statuses, f"case {case}: {line} left with {status}: {said.err[-500:]}"
        assert "Traceback" not in said.err, f"case {case}: {line}"
        assert len(said.err) < 2_500, f"case {case}: {line} wrote {len(said.err)} characters"
        assert status == 0 or said.err.strip(), f"case {case}: {line} was refused without a word"
        statuses[status] += 1
    assert all(statuses.values()), statuses
    with capsys.disabled():
        print(f"\n{len(cases)} command lines: {statuses[0]} would run, {statuses[2]} refused")


def test_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    try_all(range(SHORT), tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_many_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try_all(range(SHORT, LONG), tmp_path, monkeypatch, capsys)


def test_every_command_is_tried() -> None:
    assert isinstance(app.app, typer.Typer)
    assert all(len(flags(name, task)) > 1 for name in app.COMMANDS for task in app.COMMANDS[name].variants)
