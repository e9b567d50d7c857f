"""Configuration is strict."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tracetune.base.config import from_mapping, read_yaml
from tracetune.base.errors import InputError


@dataclass(frozen=True)
class Example:
    size: int
    name: str = "a"


def test_defaults_fill_what_is_absent() -> None:
    assert from_mapping(Example, {"size": 3}) == Example(3, "a")


def test_unknown_keys_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match=r"Unknown Example key 'sise'. Did you mean 'size'\? Known: name, size"):
        from_mapping(Example, {"sise": 3})


def test_missing_keys_are_named() -> None:
    with pytest.raises(InputError, match="size"):
        from_mapping(Example, {})


@pytest.mark.parametrize(("content", "message"), [("- 1", "found list"), ("a: [", "not valid YAML")])
def test_unusable_yaml_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_yaml(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_yaml(tmp_path / "absent.yaml")
