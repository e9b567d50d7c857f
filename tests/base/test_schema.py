"""JSON against a dataclass: what fits comes back typed, what does not is named with its key."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.errors import InputError
from tracetune.base.schema import absent, from_json


@dataclass(frozen=True)
class Inner:
    name: str
    share: float = 0.5
    kernels: int = field(default=84, metadata=absent(0))

    def __post_init__(self) -> None:
        if self.share > 1:
            raise InputError(f"Expected share of at most 1, found {self.share}.")


@dataclass(frozen=True)
class Record:
    kind: Literal["a", "b"]
    count: int
    inner: Inner | None
    rows: list[list[float]]
    table: dict[str, int]
    other: dict[str, Any] = field(default_factory=dict)


GOOD = {"kind": "a", "count": 3, "inner": {"name": "x", "share": 1}, "rows": [[1, 2.5]], "table": {"k": 1}}


def test_what_fits_comes_back_typed() -> None:
    assert from_json(Record, {**GOOD, "unknown": 5}, "f") == Record("a", 3, Inner("x", 1.0, 0), [[1.0, 2.5]], {"k": 1})
    assert from_json(Record, {**GOOD, "inner": None}, "f").inner is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, "Expected kind in f to be 'a' or 'b', found 'c'"),
        ({"count": True}, "Expected count in f to be a whole number, found True"),
        ({"count": 2.0}, "Expected count in f to be a whole number, found 2.0"),
        ({"inner": []}, r"Expected inner in f to be an object \{...\} or null, found \[\]"),
        ({"inner": {}}, "f has no inner.name"),
        ({"inner": {"name": None}}, "Expected inner.name in f to be text, found None"),
        ({"inner": {"name": "x", "share": 2}}, "f cannot be used: Expected share of at most 1, found 2.0"),
        ({"rows": [[1], 2]}, r"Expected rows\[1\] in f to be a list \[...\], found 2"),
        ({"rows": [[float("nan")]]}, r"Expected rows\[0\]\[0\] in f to be a finite number, found nan"),
        ({"rows": [[10**400]]}, "to be a finite number"),
        ({"table": {"k": "v"}}, "Expected table.k in f to be a whole number, found 'v'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_json(Record, GOOD | change, "f")


def test_missing_keys_and_other_things_than_objects_are_named() -> None:
    with pytest.raises(InputError, match=r"f has no kind\. Restore"):
        from_json(Record, {}, "f")
    with pytest.raises(InputError, match=r"Expected f to be an object \{...\}, found \[1\]"):
        from_json(Record, [1], "f")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(key=st.sampled_from(sorted(GOOD)), value=json_values)
def test_nothing_else_than_an_input_error_comes_out(key: str, value: Any) -> None:
    try:
        record = from_json(Record, {**GOOD, key: value}, "f")
    except InputError as error:
        assert len(str(error)) < 2000
    else:
        assert json.dumps(getattr(record, key), default=vars) is not None
