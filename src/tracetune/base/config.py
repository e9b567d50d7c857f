"""Strict configuration: dataclasses filled from mappings or YAML, unknown keys refused."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from tracetune.base.errors import InputError, unknown_name

T = TypeVar("T")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"}


def from_mapping(config_class: type[T], values: Mapping[str, Any]) -> T:
    """Build the dataclass ``config_class`` from ``values``; defaults fill what is absent.

    Raises:
        InputError: a key is not a field of the class (the valid ones are listed), a required one is
            missing, a value is of another type, or the class's own checks refuse it.
    """
    known = {field.name: field for field in fields(config_class)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise unknown_name(f"{config_class.__name__} key", str(key), known)
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"Expected a value for {name}, found none: {config_class.__name__} has no default for it.")
    hints = get_type_hints(config_class)
    return config_class(**{name: _fitted(name, value, hints[name]) for name, value in values.items()})


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: the file is missing, is not YAML, or holds something other than a mapping.
    """
    source = Path(path)
    if not source.is_file():
        found = "that is a folder" if source.is_dir() else "it does not exist"
        raise InputError(f"Expected a YAML file at {source}; {found}.")
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise InputError(f"Expected key: value pairs at the top of {source}, found {found}.")
    return content


def _fitted(name: str, value: Any, hint: Any) -> Any:
    """``value`` in the type ``hint``, converted where that loses nothing: 1 to 1.0, a list to a tuple."""
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        if (value is None and NoneType in get_args(hint)) or len(options) > 1:
            return value
        hint = options[0]
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (tuple, list) and isinstance(value, (tuple, list)):
        return kind(_fitted(f"each of {name}", part, parts[0]) for part in value)
    if kind in (str, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return kind(value)
    if kind is float and isinstance(value, str) and _is_number(value):
        return float(value)
    if kind in _WORDS and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind in _WORDS or kind in (tuple, list):
        raise InputError(f"Expected {name} to be {_WORDS.get(kind, 'a list')}, found {value!r}.")
    return value


def _is_number(text: str) -> bool:
    """Whether text is a number: YAML takes 1e-3 for text, since its own numbers have a point (1.0e-3)."""
    try:
        float(text)
    except ValueError:
        return False
    return True
