"""Which task a command line means."""

import json
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.cli.task_choice import chosen_task


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    (tmp_path / "trace.json").write_text(json.dumps({"task": "classification"}))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ("finetune x.csv", "forecasting"),
        ("finetune x.csv --task classification", "classification"),
        ("finetune --task=classification x.csv --task forecasting", "forecasting"),
        ("finetune x.csv -- --task classification", "forecasting"),
        ("evaluate x.csv --model nowhere", "forecasting"),
        ("models", ""),
    ],
)
def test_the_flag_decides_and_else_the_first(line: str, task: str) -> None:
    name, *arguments = line.split()
    assert chosen_task(name, arguments) == task


def test_a_saved_model_says_what_it_is_for(classifier: Path) -> None:
    assert chosen_task("evaluate", ["x.ts", "--model", str(classifier)]) == "classification"
    assert chosen_task("evaluate", ["x.ts", f"--model={classifier}", "--task", "forecasting"]) == "forecasting"


def test_a_file_names_task_or_model(classifier: Path) -> None:
    file = classifier / "run.yaml"
    file.write_text("task: classification\n")
    assert chosen_task("finetune", ["--config", str(file)]) == "classification"
    file.write_text(f"model: {classifier}\n")
    assert chosen_task("evaluate", ["--config", str(file)]) == "classification"


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"task": 3}', '{"task": "cooking"}', "[" * 5000])
def test_what_is_no_record_is_left_to_the_loader(tmp_path: Path, record: str) -> None:
    (tmp_path / "trace.json").write_text(record)
    assert chosen_task("evaluate", ["--model", str(tmp_path)]) == "forecasting"


def test_tasks_that_a_command_does_not_serve_are_refused(classifier: Path) -> None:
    with pytest.raises(InputError, match=r"found one for classification. Commands for it: .*tracetune classify"):
        chosen_task("predict", ["x.csv", "--model", str(classifier)])
    with pytest.raises(InputError, match="Did you mean 'classification'"):
        chosen_task("finetune", ["--task", "classfication"])
    (classifier / "run.yaml").write_text("task: [a]\n")
    with pytest.raises(InputError, match="Expected a task for --task"):
        chosen_task("finetune", ["--config", str(classifier / "run.yaml")])
