"""README and docs say what is true: the file map is the tree, links lead somewhere, commands and names exist."""

import ast
import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tracetune.base.config import settings
from tracetune.cli.app import COMMANDS, build_command, config_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
VARIANTS = {name: list(command.variants) for name, command in COMMANDS.items()}
FLAGS = {
    name: {
        "--help",
        *(flag for task in variants for each in build_command(name, task).params for flag in each.opts),
        *(flag for task in variants for each in build_command(name, task).params for flag in each.secondary_opts),
    }
    for name, variants in VARIANTS.items()
}


def tracked_files() -> list[str]:
    """Files under version control that are here, relative to the root."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [name for name in listed if name and (ROOT / name).is_file()]


def fenced(page: Path, language: str) -> list[str]:
    """Contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def command_lines(page: Path) -> list[list[str]]:
    """Arguments of every ``tracetune ...`` in shell blocks and code spans."""
    text = "\n".join(fenced(page, "bash")).replace("\\\n", " ")
    spans = re.findall(r"`(tracetune [^`\n]+)`", page.read_text())
    parts = [part for line in text.splitlines() for part in line.split("&&")] + spans
    words = [shlex.split(part, comments=True) for part in parts if "tracetune" in part]
    return [line[1:] for line in words if line and Path(line[0]).name == "tracetune"]


def test_the_file_map_is_that_of_the_tree() -> None:
    specification = importlib.util.spec_from_file_location("make_file_map", ROOT / "docs" / "make_file_map.py")
    assert specification is not None and specification.loader is not None
    made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    assert (ROOT / "docs" / "file_map.md").read_text() == made.file_map(), "run: python docs/make_file_map.py"


def test_modules_open_with_what_they_are_for() -> None:
    for name in tracked_files():
        if name.startswith(("src/", "benchmarks/", "examples/")) and name.endswith(".py"):
            assert ast.get_docstring(ast.parse((ROOT / name).read_text())), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            name, _, heading = target.partition("#")
            linked = page.parent / name if name else page
            assert linked.exists(), f"{page.name} links to {target}"
            slugs = [re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in headings(linked)]
            assert not heading or heading in slugs, f"{page.name} links to {target}; there are {slugs}"


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ .*$", page.read_text(), flags=re.MULTILINE) if page.suffix == ".md" else []


@pytest.mark.parametrize(("name", "parts"), [("demo", ["tracetune demo"]), ("test", ['.[test]"', "pytest"])])
def test_the_two_commands_are_there_once(name: str, parts: list[str]) -> None:
    blocks = re.findall(rf"<!-- {name} command -->\n```bash\n(.*?)\n```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 1
    assert "\n" not in blocks[0]
    assert blocks[0].startswith("python3 -m venv .venv && ")
    assert all(part in blocks[0] for part in parts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_flags_exist(page: Path) -> None:
    for line in command_lines(page):
        if line[0].startswith("-"):
            continue
        assert line[0] in FLAGS, f"{page.name}: tracetune {line[0]}"
        given = [word.partition("=")[0] for word in line[1:] if re.match(r"--?[a-z]", word)]
        wrong = sorted(set(given) - FLAGS[line[0]])
        assert not wrong, f"{page.name}: tracetune {line[0]} has no {wrong}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_named_in_passing_exist(page: Path) -> None:
    spans = re.findall(r"`(--[a-z][a-z-]*)[ `]", page.read_text())
    assert not sorted(set(spans) - set().union(*FLAGS.values()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_of_configuration_files_exist(page: Path) -> None:
    known = {name for command in COMMANDS for task in VARIANTS[command] for name in settings(config_of(command, task))}
    known.add("task")
    for block in fenced(page, "yaml"):
        assert not sorted(set(yaml.safe_load(block)) - known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_parse_and_import_what_exists(page: Path) -> None:
    for block in fenced(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tracetune"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
