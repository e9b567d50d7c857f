"""Configuration is strict."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tracetune.base.config import from_mapping, read_yaml
from tracetune.base.errors import InputError


@dataclass(frozen=True)
class Example:
    size: int
    name: str = "a"
    rate: float | None = None
    names: tuple[str, ...] = ()
    fast: bool = False
    options: dict[str, int] = field(default_factory=dict)


def test_defaults_fill_what_is_absent() -> None:
    assert from_mapping(Example, {"size": 3}) == Example(3, "a")


def test_unknown_keys_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"Unknown Example key 'sise'. Did you mean 'size'\? Known: fast, name, names, options, rate, size",
    ):
        from_mapping(Example, {"sise": 3})


def test_missing_keys_are_named() -> None:
    with pytest.raises(InputError, match="Expected a value for size, found none"):
        from_mapping(Example, {"name": "b"})


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"rate": 1}, {"rate": 1.0}),
        ({"rate": "1e-3"}, {"rate": 0.001}),
        ({"rate": None}, {"rate": None}),
        ({"names": ["a", "b"]}, {"names": ("a", "b")}),
        ({"names": [0.1, 5]}, {"names": ("0.1", "5")}),
        ({"name": 2024}, {"name": "2024"}),
        ({"options": {"a": 1}}, {"options": {"a": 1}}),
    ],
)
def test_values_are_converted_where_nothing_is_lost(given: dict, taken: dict) -> None:
    assert from_mapping(Example, {"size": 3, **given}) == Example(3, **taken)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "two"}, "Expected size to be a whole number, found 'two'"),
        ({"size": 2.5}, "Expected size to be a whole number, found 2.5"),
        ({"size": True}, "Expected size to be a whole number, found True"),
        ({"size": None}, "Expected size to be a whole number, found None"),
        ({"name": ["a"]}, r"Expected name to be text, found \['a'\]"),
        ({"name": False}, "Expected name to be text, found False"),
        ({"rate": "fast"}, "Expected rate to be a number, found 'fast'"),
        ({"names": "a"}, "Expected names to be a list, found 'a'"),
        ({"names": [["a"]]}, "Expected each of names to be text"),
        ({"fast": "no"}, "Expected fast to be true or false, found 'no'"),
        ({"options": [1]}, "Expected options to be a mapping"),
    ],
)
def test_values_of_another_type_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(Example, {"size": 3, **given})


@pytest.mark.parametrize(
    ("content", "message"), [("- 1", "found list"), ("", "found nothing"), ("a: [", "not valid YAML")]
)
def test_unusable_yaml_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_yaml(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="that is a folder"):
        read_yaml(tmp_path)
