"""Hooks of mkdocs: pages and examples that lie outside docs/ become part of the site, and links to them lead there."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/forecasting.py",
    "examples/any_module.py",
    "tests/test_one_file.py",
)


def on_files(files: Any, config: Any) -> Any:
    """Add what lies outside docs/ under its path from the project's root."""
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links out of docs/, and from the root into docs/, into links within the site."""
    if page.file.src_uri in OUTSIDE:
        return re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(rf"\]\(\.\./(?=({'|'.join(map(re.escape, OUTSIDE))})[)#])", "](", markdown)
