"""Strict configuration: dataclasses filled from mappings or YAML, unknown keys refused."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tracetune.base.errors import InputError, unknown_name

T = TypeVar("T")


def from_mapping(config_class: type[T], values: Mapping[str, Any]) -> T:
    """Build the dataclass ``config_class`` from ``values``; defaults fill what is absent.

    Raises:
        InputError: a key is not a field of the class (the valid ones are listed), a required one is
            missing, or the class's own checks refuse a value.
    """
    known = [field.name for field in fields(config_class)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise unknown_name(f"{config_class.__name__} key", str(key), known)
    try:
        return config_class(**values)
    except TypeError as error:
        raise InputError(f"{config_class.__name__}: {error}. Valid keys: {', '.join(known)}.") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        InputError: the file is missing, is not YAML, or holds something other than a mapping.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"Expected a YAML file at {source}; it does not exist.")
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"Expected key: value pairs at the top of {source}, found {type(content).__name__}.")
    return content
