"""Commands to go on with: the user's own table and flags, quoted, and flags that the commands have."""

import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from tracetune.cli.app import build_command, config_of
from tracetune.cli.flags import values_of
from tracetune.recipes.classification.settings import LabelledSource
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.fit_report import Source, print_next_commands, source_words
from tracetune.recipes.text.settings import TextSource


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my sales.csv").touch()


NAME = "my sales.csv"
SOURCES = [
    ("forecasting", "predict", lambda: DataSource(NAME, target=("a", "b c"), day_first=False, sort=True, sheet="2")),
    ("imputation", "impute", lambda: DataSource(NAME, freq="h", missing=("n.a.", "-200"))),
    ("anomaly", "detect", lambda: DataSource(NAME, id_column=("store",), day_first=True)),
    ("classification", "classify", lambda: LabelledSource(NAME, label_column="kind of", layout="long")),
    ("text", "classify", lambda: TextSource(NAME, text_column=("first text", "second"))),
]


@pytest.mark.parametrize(("task", "verb", "make"), SOURCES)
def test_the_users_table_and_flags_come_back_as_they_were_given(
    task: str, verb: str, make: Callable[[], Source], capsys: pytest.CaptureFixture[str]
) -> None:
    source = make()
    print_next_commands(source, "my runs/a", {verb: ()})
    *_, line = capsys.readouterr().out.rstrip().split("\n")
    name, *words = shlex.split(line)[1:]
    assert name == verb
    command = build_command(name, task)
    given = values_of(command.make_context(name, words).params, config_of(name, task))
    assert given["data"] == NAME and given["model"] == "my runs/a"
    for field in fields(source):
        found = given.get(field.name, field.default)
        assert (tuple(found) if isinstance(found, list) else found) == getattr(source, field.name), field.name


def test_a_known_data_set_is_named_by_its_flag() -> None:
    assert source_words(DataSource(dataset="ETTh1")) == ["--dataset", "ETTh1"]
