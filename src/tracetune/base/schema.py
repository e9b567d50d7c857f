"""JSON from files, checked against a dataclass: errors say which key, what was expected there, and what was found."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from tracetune.base.errors import InputError, shown

T = TypeVar("T")
TypeHint: TypeAlias = Any
"""The annotation of a field, as `get_type_hints` gives it: a class, a union, a generic alias."""

_ABSENT = "absent"
_WORDS = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false", NoneType: "null"}


def from_json(record_class: type[T], content: object, where: str) -> T:
    """Build the dataclass ``record_class`` from what a JSON file holds; keys that it does not know are left alone.

    Fields may be text, numbers, true or false, ``None``, ``Literal``, ``list``, ``tuple[X, ...]``, ``dict[str, X]``,
    other dataclasses, unions of these, and ``Any``.

    Args:
        record_class: its fields are the keys; those with a default may be absent, and mean it then, or what `absent`
            says.
        content: from ``json.load``.
        where: the file, as it stands in messages.

    Raises:
        InputError: a key is missing or holds something else, or the class's own checks refuse a value.
    """
    built: T = _built(record_class, content, "", where)
    return built


def absent(value: object) -> dict[str, object]:
    """Return metadata of a field: what a file means that lacks its key, where that is not the field's default."""
    return {_ABSENT: value}


def require_counts(record: object, *names: str) -> None:
    """Refuse values below 1 under ``names``; for the checks of a record's class.

    Raises:
        InputError: names the first of them.
    """
    for name in names:
        if (value := getattr(record, name)) < 1:
            raise InputError(f"Expected {name} of at least 1, found {value}.")


def require_names(record: object, name: str, least: int = 1) -> None:
    """Refuse fewer than ``least`` names under ``name``, or one that comes twice; for the checks of a record's class.

    Raises:
        InputError: says which.
    """
    found = getattr(record, name)
    if len(found) < least or len(set(found)) < len(found):
        raise InputError(f"Expected at least {least} {name}, each once, found {shown(found)}.")


def _built(record_class: TypeHint, content: object, key: str, where: str) -> Any:
    if not isinstance(content, Mapping):
        raise _unexpected(key, "an object {...}", content, where)
    hints = get_type_hints(record_class)
    values = {}
    for field in fields(record_class):
        name = f"{key}.{field.name}" if key else field.name
        if field.name in content:
            values[field.name] = _value(hints[field.name], content[field.name], name, where)
        elif _ABSENT in field.metadata:
            values[field.name] = field.metadata[_ABSENT]
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where} has no {name}. Restore it from its source.")
    try:
        return record_class(**values)
    except InputError as error:
        raise InputError(f"{where} cannot be used: {error}") from error


def _value(hint: TypeHint, value: Any, key: str, where: str) -> Any:
    origin: TypeHint = get_origin(hint)
    parts = get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        fitting = next((part for part in parts if _is_kind(part, value)), None)
        if fitting is None:
            raise _unexpected(key, _described(hint), value, where)
        return _value(fitting, value, key, where)
    if not _is_kind(hint, value):
        raise _unexpected(key, _described(hint), value, where)
    if origin in (list, tuple):
        return origin(_value(parts[0], one, f"{key}[{index}]", where) for index, one in enumerate(value))
    if origin is dict:
        return {name: _value(parts[1], one, f"{key}.{name}", where) for name, one in value.items()}
    if is_dataclass(hint):
        return _built(hint, value, key, where)
    return float(value) if hint is float else value


def _is_kind(hint: TypeHint, value: object) -> bool:
    """Return whether ``value`` is of the kind of ``hint``, whatever is inside it."""
    kind: TypeHint = get_origin(hint) or hint
    if kind is Any:
        return True
    if kind is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(hint))
    if is_dataclass(kind) or kind is dict:
        return isinstance(value, Mapping)
    if kind in (list, tuple):
        return isinstance(value, (list, tuple))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def _described(hint: TypeHint) -> str:
    """Return what a hint allows, in words."""
    kind: TypeHint = get_origin(hint) or hint
    if kind in (Union, UnionType):
        return " or ".join(_described(part) for part in get_args(hint))
    if kind is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if is_dataclass(kind) or kind is dict:
        return "an object {...}"
    return "a list [...]" if kind in (list, tuple) else _WORDS[kind]


def _unexpected(key: str, expected: str, value: object, where: str) -> InputError:
    place = f"{key} in {where}" if key else where
    return InputError(f"Expected {place} to be {expected}, found {shown(value)}. Restore it from its source.")
