"""Messages name settings through `argument` or `either`, so that the command line shows flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tracetune.cli.app import build_command
from tracetune.cli.commands import COMMANDS

SOURCE = Path(__file__).parents[2] / "src" / "tracetune"
WORD = re.compile(r"(?<![\w.\-/'\"])([a-z][a-z0-9_]*)(=?)(?![\w(])")
IN_PYTHON = ("resolution=", "tokens_per_sample", "Give wrap_module", "DLinear")  # of calls that no command makes


def settings() -> set[str]:
    """The names of all settings that are a flag of some command."""
    commands = (build_command(name, task) for name, command in COMMANDS.items() for task in command.variants)
    flags = (flag for command in commands for each in command.params for flag in each.opts)
    return {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}


def literal_text(node: ast.expr) -> str:
    """The text of a message as it is in the source: what is computed, `argument(...)` too, is left out."""
    if isinstance(node, ast.BinOp):
        return literal_text(node.left) + literal_text(node.right)
    values = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "'" for part in values)


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "InputError":
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", literal_text(node.args[0])


def test_settings_in_messages_are_marked() -> None:
    known = settings()
    assert {"lora_alpha", "train_stride", "contamination"} <= known
    found = [
        f"{place}: {match[0]}"
        for place, text in messages()
        if not any(words in text for words in IN_PYTHON)
        for match in WORD.finditer(text)
        if match[1] in known and ("_" in match[1] or match[2])
    ]
    assert found == []


def test_python_calls_in_messages_are_marked() -> None:
    found = [place for place, text in messages() if "Call fit" in text and "Nothing to save" not in text]
    assert found == []
