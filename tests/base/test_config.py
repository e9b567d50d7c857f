"""Configuration is strict."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tracetune.base.config import flat_values, from_mapping, read_yaml, require_at_least, settings
from tracetune.base.errors import InputError


@dataclass(frozen=True)
class Example:
    size: int
    name: str = "a"
    rate: float | None = None
    names: tuple[str, ...] = ()
    fast: bool = False
    options: dict[str, int] = field(default_factory=dict)
    amount: float | int | str = 0.5


def test_defaults_fill_what_is_absent() -> None:
    assert from_mapping(Example, {"size": 3}) == Example(3, "a")


def test_unknown_keys_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"Unknown setting 'sise'. Did you mean 'size'\? Known: amount, fast, name, names, options, rate, size",
    ):
        from_mapping(Example, {"sise": 3})


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        steps: how many steps,
            in all.
        rate: how fast.
    """

    steps: int = 3
    rate: float = 0.1


@dataclass(frozen=True)
class Nested:
    """Attributes:
    name: what it is called.
    """

    name: str
    training: Training = field(default_factory=Training)


def test_parts_are_filled_from_flat_names() -> None:
    config = from_mapping(Nested, {"name": "a", "steps": 5})
    assert config == Nested("a", Training(steps=5))
    assert flat_values(config) == {"name": "a", "steps": 5, "rate": 0.1}


def test_settings_know_their_part_their_text_and_their_default() -> None:
    found = settings(Nested)
    assert list(found) == ["name", "steps", "rate"]
    assert (found["steps"].group, found["steps"].text, found["steps"].default) == (
        "training",
        "how many steps, in all.",
        3,
    )


def test_sizes_below_the_least_are_refused() -> None:
    require_at_least(Example(3), 1, "size", "rate")
    with pytest.raises(InputError, match="Expected size of at least 1, found 0"):
        require_at_least(Example(0), 1, "size")


def test_numbers_that_are_too_large_to_be_meant_are_refused() -> None:
    with pytest.raises(InputError, match="Expected size of at most"):
        from_mapping(Example, {"size": 10**20})


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
        ({"amount": "1e-3"}, {"amount": 0.001}),
        ({"amount": "12"}, {"amount": 12}),
        ({"amount": 1}, {"amount": 1}),
        ({"amount": "auto"}, {"amount": "auto"}),
    ],
)
def test_values_are_converted_where_nothing_is_lost(given: dict, taken: dict) -> None:
    found = from_mapping(Example, {"size": 3, **given})
    assert found == Example(3, **taken)
    assert type(found.amount) is type(taken.get("amount", 0.5))


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
        ({"rate": "1_000"}, "Expected rate to be a number, found '1_000'"),
        ({"rate": math.nan}, "Expected rate to be a number, found nan"),
        ({"names": "a"}, "Expected names to be a list, found 'a'"),
        ({"names": [["a"]]}, "Expected names to be text"),
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


@pytest.mark.parametrize("values", [{"size": 10**400}, {"size": 1, "rate": 10**400}, {"size": 1, "name": 10**400}])
def test_numbers_without_end_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at most"):
        from_mapping(Example, values)
