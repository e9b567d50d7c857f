"""Strict configuration: dataclasses, nested where they group settings, filled from flat names; unknown ones refused."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from tracetune.base.errors import InputError, argument, shown
from tracetune.base.json_types import JsonObject
from tracetune.base.plain_numbers import spelled_number
from tracetune.base.schema import TypeHint
from tracetune.base.setting_names import unknown_setting

T = TypeVar("T")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"}
_LARGEST = 2**40  # of whole numbers: larger counts and sizes are mistakes, and would overflow later


@dataclass(frozen=True)
class Setting:
    """One value of a configuration, wherever in its parts it lies.

    Attributes:
        name: its flat name, a key of a configuration file and, with dashes, a flag.
        hint: the type annotation of its field.
        default: its default, MISSING where it has to be given.
        text: what it is, from the "Attributes:" section of its class.
        group: name of the part that it lies in, or that its field names as its "group"; empty for the configuration.
        positional: whether the command line takes it as an argument without a flag.
    """

    name: str
    hint: TypeHint
    default: object
    text: str
    group: str
    positional: bool


def settings(config_class: type, group: str = "") -> dict[str, Setting]:
    """Return all settings of a dataclass by flat name; fields that are dataclasses themselves are parts of it."""
    found: dict[str, Setting] = {}
    hints, texts = get_type_hints(config_class), attribute_texts(config_class)
    for field in fields(config_class):
        hint = hints[field.name]
        if is_dataclass(hint):
            found.update(settings(hint, field.name))  # type: ignore[arg-type]
            continue
        where, positional = field.metadata.get("group", group), bool(field.metadata.get("positional"))
        found[field.name] = Setting(field.name, hint, _default(field), texts.get(field.name, ""), where, positional)
    return found


def from_mapping(config_class: type[T], values: Mapping[str, object]) -> T:
    """Build the dataclass ``config_class`` from flat ``values``; defaults fill what is absent.

    Raises:
        InputError: a key is no setting of the class (the nearest are named), a required one is missing, a value is of
            another type, or the class's own checks refuse it.
    """
    known = settings(config_class)
    for key in values:
        if key not in known:
            raise unknown_setting(str(key), known)
    for name, setting in known.items():
        if name not in values and setting.default is MISSING:
            raise InputError(f"Expected a value for {argument(name)}, found none: it has no default.")
    return _built(config_class, {name: _fitted(name, value, known[name].hint) for name, value in values.items()})


def flat_values(config: object) -> dict[str, Any]:
    """Return all values of a configuration by flat name, those of its parts included."""
    values: dict[str, Any] = {}
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        values |= flat_values(value) if is_dataclass(value) else {field.name: value}
    return values


def read_yaml(path: str | Path) -> JsonObject:
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


def attribute_texts(config_class: type) -> dict[str, str]:
    """Return the lines of a class's "Attributes:" section, by attribute; those of the classes it extends, too."""
    texts: dict[str, str] = {}
    for each in reversed(config_class.__mro__):
        texts |= _section_texts(each)
    return texts


def _section_texts(config_class: type) -> dict[str, str]:
    _, _, section = inspect.cleandoc(config_class.__doc__ or "").partition("Attributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            texts[name] = text
        elif name and line.strip():
            texts[name] += " " + line.strip()
    return texts


def require_at_least(config: object, least: int, *names: str) -> None:
    """Refuse settings below ``least``; None is no value, hence not below.

    Raises:
        InputError: names the first such setting.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise InputError(f"Expected {argument(name)} of at least {least}, found {value}.")


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _built(config_class: type[T], values: Mapping[str, object]) -> T:
    """Return the dataclass with its parts, each of which takes the values that are its own."""
    hints = get_type_hints(config_class)
    given = {}
    for field in fields(config_class):  # type: ignore[arg-type]
        if is_dataclass(hints[field.name]):
            given[field.name] = _built(hints[field.name], values)
        elif field.name in values:
            given[field.name] = values[field.name]
    return config_class(**given)


def _fitted(name: str, value: object, hint: object) -> Any:
    """Return ``value`` in the type ``hint``, converted where that loses nothing: 1 to 1.0, a list to a tuple.

    YAML takes 1e-3 for text, since its own numbers have a point (1.0e-3).
    """
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        if value is None and NoneType in get_args(hint):
            return value
        if len(options) > 1:
            if isinstance(value, str) and {int, float} <= set(options):
                return spelled_number(value, (int, float))
            return value
        hint = options[0]
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (tuple, list) and isinstance(value, (tuple, list)):
        return kind(_fitted(name, part, parts[0]) for part in value)
    if kind is float and isinstance(value, float) and math.isnan(value):
        raise InputError(f"Expected {argument(name)} to be a number, found nan.")
    if kind in _WORDS and isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"Expected {argument(name)} of at most {_LARGEST:,}, found {shown(value, 30)}.")
    if kind in (str, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return kind(value)
    if kind is float and isinstance(value, str):
        value = spelled_number(value, (float,))
    if kind in _WORDS and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind in _WORDS or kind in (tuple, list):
        raise InputError(f"Expected {argument(name)} to be {_WORDS.get(kind, 'a list')}, found {shown(value)}.")
    return value
