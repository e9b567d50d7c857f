"""Read the SVG files that matplotlib writes."""

import re
from pathlib import Path


def texts(path: Path) -> list[str]:
    """Texts of an SVG that matplotlib wrote; it notes each one in a comment."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", path.read_text())]
