"""Flags of a command from the settings of its configuration, and what the text of a flag stands for."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.models import ParameterInfo

from tracetune.base.config import Setting, settings
from tracetune.base.plain_numbers import spelled_number

_GROUPS = {
    "source": "Data",
    "forecaster": "Model",
    "classifier": "Model",
    "detector": "Model",
    "imputer": "Model",
    "scored": "Model",
    "backbone": "Model",
    "head": "Model",
    "gaps": "Model",
    "scoring": "Scoring",
    "method": "Method",
    "lora": "Method",
    "selection": "Selection of modules (method trace)",
    "training": "Training",
    "windows": "Training",
    "periods": "Training",
    "labels": "Training",
    "run": "Run",
}
_METAVARS: dict[object, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def signature(config_class: type, tasks: Sequence[str]) -> inspect.Signature:
    """Return the parameters of a command: one a setting that a flag can give, ``config``, and ``task``.

    Args:
        config_class: its configuration.
        tasks: which it serves; with fewer than two there is no choice to explain.
    """
    text = "YAML file with the same names; flags win over it."
    option = typer.Option("--config", help=text, metavar="FILE", show_default=False)
    parameters = [_parameter("config", str | None, None, option)]
    if tasks:
        text = f"What the model is for: {', '.join(tasks)}; without it as --model was saved, or {tasks[0]}."
        option = typer.Option("--task", help=text, metavar="TASK", show_default=False, hidden=len(tasks) < 2)
        parameters.append(_parameter("task", str | None, None, option))
    for setting in sorted(settings(config_class).values(), key=_panel_order):
        if (kind := _flag_type(setting.hint)) is not None:
            parameters.append(_parameter(setting.name, *_annotation(kind), _option(setting, kind)))
    return inspect.Signature(parameters)


def values_of(flags: Mapping[str, object], config_class: type) -> dict[str, object]:
    """Return the settings that flags give, in their types; what spells no such value is left for the check of types."""
    known = settings(config_class)
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    return {name: _spelled(value, known[name].hint) for name, value in given.items()}


def with_lists_repeated(arguments: Sequence[str], lists: Collection[str], switches: Collection[str]) -> list[str]:
    """Return the arguments with ``--id-column store item`` written as ``--id-column store --id-column item``.

    Words after the first value of a list belong to it, except that one is left over for the table where no other word
    can be it.

    Args:
        arguments: of one command.
        lists: flags that take several values.
        switches: flags that take none.
    """
    groups: list[list[str]] = [[]]  # words without a flag, then each flag with the words after it
    for word in arguments:
        if word.startswith("--"):
            groups.append([word])
        else:
            groups[-1].append(word)
    lone = list(groups[0])  # words that are no value of a flag
    for flag, *words in groups[1:]:
        if flag not in lists:
            lone += words if flag in switches or "=" in flag else words[1:]
    made: list[list[str]] = []
    for flag, *words in reversed(groups[1:]):
        if flag not in lists or len(words) < 2:
            made.append([flag, *words])
            continue
        if not lone:
            lone = [words.pop()]
            groups[0].append(lone[0])
        made.append([part for word in words for part in (flag, word)])
    return [word for group in (groups[0], *reversed(made)) for word in group]


def _panel_order(setting: Setting) -> int:
    """Return the place of a setting's panel in the help: that of its group in the table, other settings last."""
    panels = list(dict.fromkeys(_GROUPS.values()))
    return panels.index(_GROUPS[setting.group]) if setting.group in _GROUPS else len(panels)


def _annotation(kind: object) -> tuple[object, object]:
    """Return the type of a parameter and its default, which stands for a flag that was not given."""
    return (list[str], []) if kind == list[str] else (bool | None if kind is bool else str | None, None)


def _parameter(name: str, annotation: object, default: object, option: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[annotation, option])


def _option(setting: Setting, kind: object) -> ParameterInfo:
    text = setting.text.replace("[", "\\[")
    panel = _GROUPS.get(setting.group)
    if setting.positional:
        return typer.Argument(help=text, show_default=False, metavar=setting.name.upper())
    if setting.default not in (None, (), MISSING, False, ""):
        text += f" \\[default: {setting.default}]"
    if kind is bool:
        return typer.Option(help=text, show_default=False, rich_help_panel=panel)
    metavar = "LIST" if kind == list[str] else _METAVARS.get(kind, "VALUE")
    flag = f"--{setting.name.replace('_', '-')}"  # some versions of Typer make one of the metavar where both are alike
    return typer.Option(flag, help=text, show_default=False, rich_help_panel=panel, metavar=metavar)


def _flag_type(hint: object) -> object:
    """Return the type that a flag takes for a setting's annotation; None for what only a file can hold."""
    options = [part for part in get_args(hint) if part is not type(None)]
    if hint in (str, int, float, bool):
        return hint
    if _is_amount(hint) or _is_switch(hint) or get_origin(hint) is Literal:
        return Any
    if get_origin(hint) in (tuple, list):
        return list[str]
    return _flag_type(options[0]) if len(options) == 1 and get_origin(hint) is not dict else None


def _is_amount(hint: object) -> bool:
    """Return whether a setting takes numbers of both kinds (0.5 and 5), or numbers and words (5 and "auto")."""
    parts = get_args(hint)
    return {int, float} <= set(parts) or (int in parts and any(get_origin(part) is Literal for part in parts))


def _is_switch(hint: object) -> bool:
    """Return whether a setting takes true and false as well as a word ("auto")."""
    return bool in get_args(hint) and any(get_origin(part) is Literal for part in get_args(hint))


def _spelled(value: object, hint: object) -> object:
    """Return the text of a flag converted to the type of its setting; the text itself where it does not fit."""
    if isinstance(value, list):
        parts = [part.strip() for text in value for part in text.split(",")]
        return [spelled_number(part, _numbers(get_args(hint)[:1])) for part in parts if part]
    if not isinstance(value, str):
        return value
    if _is_switch(hint):
        return {"true": True, "false": False}.get(value, value)
    return spelled_number(value, _numbers(get_args(hint) if _is_amount(hint) else [_flag_type(hint)]))


def _numbers(kinds: Sequence[object]) -> list[type[int] | type[float]]:
    return [kind for kind in (int, float) if kind in kinds]
