"""The words of the code: docstrings that say what a function does, and one name a thing."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path for folder in ("src", "benchmarks", "docs", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]

# Generators are listed by what they stand for, which is the first line of their docstrings.
LISTED_BY_FIRST_LINE = {
    f"src/tracetune/data/synthetic/{name}.py"
    for name in ("dynamical", "events", "gaussian_process", "seasonal", "stochastic")
}
NO_VERBS = {
    *("A", "All", "An", "As", "At", "Both", "Each", "Every", "For", "From", "How", "Inside", "Number", "One", "Only"),
    *("Same", "Some", "The", "These", "This", "Those", "Two", "Up", "What", "When", "Where", "Whether", "Which", "Why"),
    *("Batches", "Columns", "Cost", "Errors", "Features", "Losses", "Mean", "Median", "Modules", "Names", "Numbers"),
    *("Rows", "Scores", "Seconds", "Series", "Sets", "Share", "Tokens", "Validation", "Values", "Weights", "Windows"),
}
# own, native: zero-shot; chance: random; pieces: chunks or parts; prepare: adapt; trains: trained, trainable.
AVOIDED = re.compile(r"(^|_)(own|native|chance|pieces?|prepare|trains)(_|$)", re.IGNORECASE)
OF_LIBRARIES = {"from_native", "to_native", "prepare_data_loader"}  # narwhals, Accelerate


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node.name, text


@pytest.mark.parametrize("folder", ["src", "benchmarks", "docs", "examples"])
def test_docstrings_of_functions_start_with_a_verb(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}: {text.splitlines()[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in LISTED_BY_FIRST_LINE
        for name, text in docstrings(path)
        if text.split()[0].rstrip(",:") in NO_VERBS or not text[0].isupper()
    ]
    assert found == []


def test_names_avoid_words_that_have_another_name() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {token.string}"
        for path in FILES
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.NAME and AVOIDED.search(token.string) and token.string not in OF_LIBRARIES
    }
    assert found == set()


@pytest.mark.parametrize("phrase", ["native forecast", "own forecast", "zero shot"])
def test_what_a_backbone_does_by_itself_is_zero_shot(phrase: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in FILES if phrase in path.read_text(encoding="utf-8").lower()]
    assert found == []
