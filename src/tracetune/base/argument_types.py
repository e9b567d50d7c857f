"""Arguments held to their annotations: True is no number, text is none, and a mapping is no configuration.

Python lets True stand for 1 and takes any text for true, so that a mistaken argument would count in silence, or fail
far from where it was given. What NumPy and PyTorch call a number is made Python's.
"""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from tracetune.base.errors import InputError, argument, shown

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "several",
    NoneType: "None",
}
# Annotations that a value of a plain type fits; bool comes first, since True is an int for Python.
_FITS: dict[type, set[Any]] = {bool: {bool}, int: {int, float}, float: {float}, str: {str, Path}}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that refuses arguments which do not fit their annotations.

    Annotations are held to that name nothing but classes and listed values. Text where values are listed is left to
    the function, which knows the nearest name; so are protocols, and what is inside lists.

    >>> @checked
    ... def first(rows: int | None = None) -> int | None:
    ...     return rows
    >>> first(rows=True)
    Traceback (most recent call last):
    tracetune.base.errors.InputError: Expected rows to be a whole number or None, found True.
    """
    signature = inspect.signature(function)
    hints = {name: _hint(name, each.annotation, function) for name, each in signature.parameters.items()}
    members = {name: found for name, hint in hints.items() if (found := _members(hint))}

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        try:
            bound = signature.bind(*given, **named)
        except TypeError:
            return function(*given, **named)  # which says so in Python's own words
        for name in members.keys() & bound.arguments.keys():
            bound.arguments[name] = _fitting(name, bound.arguments[name], members[name])
        return function(*bound.args, **bound.kwargs)

    return call


def checked_fields(owner: C) -> C:
    """Hold what a class, such as a dataclass, is made of to its annotations, see `checked` (a class decorator)."""
    owner.__init__ = checked(owner.__init__)  # type: ignore[misc]
    return owner


def check_methods(owner: type) -> None:
    """Hold the arguments of the public methods that a class defines to their annotations, see `checked`."""
    for name, member in list(vars(owner).items()):
        if isinstance(member, classmethod) and not name.startswith("_"):
            setattr(owner, name, classmethod(checked(member.__func__)))
        elif inspect.isfunction(member) and not name.startswith("_"):
            setattr(owner, name, checked(member))


def _hint(name: str, annotation: Any, function: Callable[..., Any]) -> Any:
    """Return an annotation that may be written as text; None where it names what is imported for type checkers."""
    try:
        return get_type_hints(SimpleNamespace(__annotations__={name: annotation}), function.__globals__)[name]
    except NameError:
        return None


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation; none where they are not all classes and listed values."""
    found = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found = tuple(tuple if get_origin(each) is tuple else each for each in found)
    return found if all(_is_class(each) or get_origin(each) is Literal for each in found) else ()


def _is_class(member: Any) -> bool:
    unclear = member in (Any, object, inspect.Parameter.empty) or getattr(member, "_is_protocol", False)
    return isinstance(member, type) and get_origin(member) is None and not unclear


def _fitting(name: str, value: Any, members: tuple[Any, ...]) -> Any:
    """Return a value, a number of NumPy's or PyTorch's as Python's.

    Raises:
        InputError: it fits none of the members.
    """
    others = tuple(each for each in members if _is_class(each) and each not in _FITS)
    if isinstance(value, others) or (isinstance(value, list) and tuple in others):
        return value
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    kind = next((each for each in _FITS if isinstance(plain, each)), None)
    listed = kind is str and not all(map(_is_class, members))
    path = isinstance(plain, os.PathLike) and Path in members
    if not (listed or path or (kind is not None and _FITS[kind].intersection(members))):
        raise InputError(f"Expected {argument(name)} to be {_in_words(members)}, found {shown(value)}.")
    return plain


def _in_words(members: tuple[Any, ...]) -> str:
    """Return in words what an argument may be."""
    words: list[str] = []
    for each in (each for each in members if each is not int or float not in members):
        if get_origin(each) is Literal:
            words += map(repr, get_args(each))
        else:
            words.append("None" if each is NoneType else _WORDS.get(each) or f"a {each.__name__}")
    return " or ".join(dict.fromkeys(words))
