"""Choose the task of a command line: the one it names, that of the model it names, or the command's first."""

import json
from collections.abc import Sequence
from pathlib import Path

from tracetune.base.config import read_yaml
from tracetune.base.errors import InputError, shown, unknown_name
from tracetune.cli.commands import COMMANDS

_RECORD_FILE = "trace.json"  # of a saved model; the module that writes it would import PyTorch


def chosen_task(name: str, arguments: Sequence[str]) -> str:
    """Return the task for which the command ``name`` is meant; "" for a command without any.

    ``--task`` and ``--model`` are read here, before the flags are known: which there are depends on the task.

    Raises:
        InputError: the command does not serve the task.
    """
    tasks = COMMANDS[name].tasks
    if not tasks:
        return ""
    file = _value_of("config", arguments)
    values = read_yaml(file) if file else {}
    named = _value_of("task", arguments) or values.get("task")
    if named is not None:
        return _served(name, named)
    found = _task_of_model(_value_of("model", arguments) or values.get("model"))
    if found is None or found in tasks:
        return found or tasks[0]
    others = [other for other, command in COMMANDS.items() if found in command.tasks]
    raise InputError(
        f"Expected a model for {' or '.join(tasks)}, found one for {found}. "
        f"Commands for it: {', '.join(f'tracetune {other}' for other in others)}."
    )


def _served(name: str, task: object) -> str:
    tasks = COMMANDS[name].tasks
    if not isinstance(task, str):
        raise InputError(f"Expected a task for --task, found {shown(task)}. Known: {', '.join(tasks)}.")
    if task not in tasks:
        raise unknown_name(f"task of tracetune {name}", task, tasks)
    return task


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return the value of ``--option``, the last one given; None without it."""
    flag, found = f"--{option}", None
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word.startswith(f"{flag}="):
            found = word.removeprefix(f"{flag}=")
        elif word == flag:
            found = arguments[place + 1] if place + 1 < len(arguments) else None
    return found


def _task_of_model(model: object) -> str | None:
    """Return the task that the record of a saved model names, if some command serves it; the loader judges the rest."""
    if not isinstance(model, str):
        return None
    try:
        record = json.loads((Path(model) / _RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    task = record.get("task") if isinstance(record, dict) else None
    known = {task for command in COMMANDS.values() for task in command.tasks}
    return task if isinstance(task, str) and task in known else None
