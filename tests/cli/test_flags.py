"""Flags from settings, and what their text stands for."""

from dataclasses import fields

import pytest

from tracetune.base.config import settings
from tracetune.cli.app import config_of
from tracetune.cli.commands import COMMANDS
from tracetune.cli.flags import values_of, with_lists_repeated
from tracetune.data.reading.options import ReadingOptions
from tracetune.recipes.forecasting.settings import FinetuneConfig, PredictConfig
from tracetune.recipes.settings.pretrain import PretrainConfig


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x.csv --ids store item --output run", "x.csv --ids store --ids item --output run"),
        ("--ids store item x.csv", "x.csv --ids store --ids item"),
        ("--ids store x.csv", "x.csv --ids store"),
        ("--ids store item x.csv --sort", "x.csv --ids store --ids item --sort"),
        ("--ids store item --output run x.csv", "--ids store --ids item --output run x.csv"),
        ("--sort x.csv --ids store item", "--sort x.csv --ids store --ids item"),
        ("--ids store,item x.csv", "x.csv --ids store,item"),
        ("--ids=store x.csv", "--ids=store x.csv"),
        ("x.csv --steps -1 --ids a", "x.csv --steps -1 --ids a"),
        ("x.csv --ids a --model b --ids c --model d", "x.csv --ids a --model b --ids c --model d"),
        ("", ""),
    ],
)
def test_words_after_a_list_flag_belong_to_it(line: str, expected: str) -> None:
    assert with_lists_repeated(line.split(), {"--ids"}, {"--sort"}) == expected.split()


@pytest.mark.parametrize("flags", [["0.1,0.9"], ["0.1", "0.9"], ["0.1, 0.9"], ["0.1,", "0.9"]])
def test_lists_come_with_commas_or_repeated(flags: list[str]) -> None:
    assert values_of({"quantiles": flags, "output": None, "sort": None}, PredictConfig) == {"quantiles": ["0.1", "0.9"]}


@pytest.mark.parametrize(("name", "task"), [(name, task) for name in COMMANDS for task in COMMANDS[name].variants])
def test_what_the_reader_of_tables_advises_is_a_flag(name: str, task: str) -> None:
    known = settings(config_of(name, task))
    if "timestamp_column" in known:
        assert {field.name for field in fields(ReadingOptions)} <= known.keys()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("batch_size", "12", 12),
        ("batch_size", "1e20", "1e20"),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "nan", "nan"),
        ("batch_size", "1_000", "1_000"),
        ("batch_size", "１２", "１２"),
        ("batch_size", " 12 ", 12),
        ("learning_rate", "auto", "auto"),
        ("epoch_windows", "all", "all"),
        ("epoch_windows", "1000", 1000),
        ("epoch_windows", "0.5", "0.5"),
        ("keep", "1.0", 1.0),
        ("keep", "1", 1),
        ("keep", "auto", "auto"),
        ("bf16", "true", True),
        ("bf16", "auto", "auto"),
        ("model", "12", "12"),
    ],
)
def test_texts_become_values_of_their_type(name: str, text: str, value: object) -> None:
    found = values_of({name: text}, FinetuneConfig)[name]
    assert found == value
    assert type(found) is type(value)


def test_lists_of_numbers() -> None:
    assert values_of({"snapshots": ["100,200", "x"]}, PretrainConfig) == {"snapshots": [100, 200, "x"]}
