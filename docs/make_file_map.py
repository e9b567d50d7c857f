"""Write docs/file_map.md: every source file with the first sentence of its own docstring.

Run `python docs/make_file_map.py` after adding or moving a file; a test compares the page with the tree.
"""

import ast
import subprocess
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "file_map.md"
MAPPED = ("src/", "benchmarks/", "examples/", "configs/")
INTRODUCTION = """# File map

Every source file with its purpose, made by `python docs/make_file_map.py` from the files. Tests mirror the tree.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(file_map())


def file_map() -> str:
    """Return the page as it should be: a table a folder, a row a file."""
    names = sorted(name for name in tracked_files() if name.startswith(MAPPED))
    tables = []
    for folder, members in groupby(sorted(names, key=lambda name: (str(Path(name).parent), name)), key=_folder):
        files = [name for name in members if not name.endswith("__init__.py")]
        package = ROOT / folder / "__init__.py"
        heading = f"\n## {folder}\n\n" + (f"{purpose(package)}\n\n" if package.is_file() else "")
        rows = [f"| `{Path(name).name}` | {purpose(ROOT / name)} |" for name in files]
        tables.append(
            heading + "\n".join(["| file | purpose |", "|---|---|", *rows]) + "\n" if rows else heading.rstrip() + "\n"
        )
    return INTRODUCTION + "".join(tables)


def tracked_files() -> list[str]:
    """Return the files under version control that are here, relative to the root."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


def purpose(path: Path) -> str:
    """Return the first line that a file says of itself: docstring, heading or comment; empty where it says nothing."""
    if path.suffix == ".py":
        return (
            (ast.get_docstring(ast.parse(path.read_text())) or "")
            .partition("\n\n")[0]
            .replace("\n", " ")
            .replace("|", "\\|")
        )
    if path.suffix in (".yaml", ".md"):
        first = path.read_text().partition("\n")[0]
        return first.lstrip("# ") if first.startswith("#") else ""
    return ""


def _folder(name: str) -> str:
    return str(Path(name).parent)


if __name__ == "__main__":
    main()
