"""The command line: every command is a recipe, its flags are the fields of the recipe's config."""

import errno
import inspect
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from rich.console import Console

from tracetune.base.config import from_mapping, read_yaml
from tracetune.base.errors import InputError
from tracetune.recipes.datasets import DatasetsConfig, show_datasets
from tracetune.recipes.demo import DemoConfig, demo
from tracetune.recipes.evaluate import EvaluateConfig, evaluate
from tracetune.recipes.finetune import FinetuneConfig, finetune
from tracetune.recipes.importance import ImportanceConfig, importance
from tracetune.recipes.models import ModelsConfig, show_models
from tracetune.recipes.predict import PredictConfig, predict
from tracetune.recipes.pretrain import PretrainConfig, pretrain

COMMANDS: dict[str, tuple[type, Callable[[Any], object]]] = {
    "demo": (DemoConfig, demo),
    "finetune": (FinetuneConfig, finetune),
    "predict": (PredictConfig, predict),
    "evaluate": (EvaluateConfig, evaluate),
    "importance": (ImportanceConfig, importance),
    "pretrain": (PretrainConfig, pretrain),
    "models": (ModelsConfig, show_models),
    "datasets": (DatasetsConfig, show_datasets),
}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _describe() -> None:
    """Fine-tune time-series foundation models with few parameters."""


def main() -> None:
    """Run the command line; exit status 0 is good, 1 a failure, 2 wrong use or unusable input."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except InputError as error:
        _leave(error.for_command_line(), 2)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        _leave(f"{error}. Free some disk space and run the command again." if full else str(error), 2 if full else 1)
    except Exception as error:
        if os.environ.get("TRACETUNE_DEBUG"):
            raise
        _leave(f"{type(error).__name__}: {error} (set TRACETUNE_DEBUG=1 for the traceback)", 1)


def _leave(message: str, status: int) -> None:
    Console(stderr=True, highlight=False).print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(status)


def command_for(config_class: type, recipe: Callable[[Any], object]) -> Callable[..., None]:
    """A function with one Typer option per field of ``config_class``, plus ``--config``, that runs ``recipe``.

    Flags that are given win over the file; fields that neither gives keep the class's default.
    """

    hints = get_type_hints(config_class)

    def command(config: str | None, **flags: Any) -> None:
        values = read_yaml(config) if config else {}
        given = {name: value for name, value in flags.items() if value is not None and value != []}
        values.update({name: _spelled(value, hints[name]) for name, value in given.items()})
        recipe(from_mapping(config_class, values))

    file_option = typer.Option(help="YAML file with the same names; flags win over it.")
    parameters = [_parameter("config", str, file_option)]
    helps = field_descriptions(config_class)
    for field in fields(config_class):
        if (annotation := _flag_type(hints[field.name])) is not None:
            parameters.append(_parameter(field.name, annotation, _option(field, annotation, helps.get(field.name, ""))))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = (recipe.__doc__ or "").partition("\n\n")[0]
    return command


def field_descriptions(config_class: type) -> dict[str, str]:
    """The lines of a class's "Attributes:" section, by attribute."""
    _, _, section = inspect.cleandoc(config_class.__doc__ or "").partition("Attributes:\n")
    descriptions: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            descriptions[name] = text
        elif name and line.strip():
            descriptions[name] += " " + line.strip()
    return descriptions


def _parameter(name: str, annotation: Any, option: Any) -> inspect.Parameter:
    default: list[str] | None = [] if annotation == list[str] else None
    kind = annotation if annotation == list[str] else annotation | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _option(field: Field, annotation: Any, text: str) -> Any:
    if field.metadata.get("positional"):
        return typer.Argument(help=text, show_default=False)
    default = None if field.default is MISSING else field.default
    shown = f" \\[default: {default}]" if default not in (None, ()) else ""
    return typer.Option(help=text + shown, show_default=False)


def _flag_type(hint: Any) -> Any:
    """The type a flag takes for a field's annotation; None for what only a file can hold."""
    options = [part for part in getattr(hint, "__args__", ()) if part is not type(None)]
    if hint in (str, int, float, bool):
        return hint
    if _is_amount(hint) or _is_switch(hint) or get_origin(hint) is Literal:
        return str
    if hint in (tuple[str, ...], list[str]):
        return list[str]
    return _flag_type(options[0]) if len(options) == 1 and not hasattr(hint, "__origin__") else None


def _is_amount(hint: Any) -> bool:
    """Whether a field takes a share (0.5) as well as a number (5), and perhaps a word ("auto")."""
    return {int, float} <= set(get_args(hint))


def _is_switch(hint: Any) -> bool:
    """Whether a field takes true and false as well as a word ("auto")."""
    return bool in get_args(hint) and any(get_origin(part) is Literal for part in get_args(hint))


def _spelled(value: Any, hint: Any) -> Any:
    """What the text of a flag spells in the type of its field; what spells nothing is left for the config to judge."""
    if _is_switch(hint):
        return {"true": True, "false": False}.get(value, value)
    return _number(value) if _is_amount(hint) else value


def _number(text: str) -> int | float | str:
    """The number that ``text`` spells, whole or not; what spells none stays as it is, for the config to judge."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


for _name, (_config_class, _recipe) in COMMANDS.items():
    app.command(_name)(command_for(_config_class, _recipe))


if __name__ == "__main__":
    main()
