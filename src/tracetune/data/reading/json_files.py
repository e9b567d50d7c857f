"""Tables in JSON: records, one object a line, or an object of columns."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tracetune.base.errors import InputError
from tracetune.data.reading.raw import shown_path


def read_json(written: bytes, source: Path) -> pd.DataFrame:
    """Return the table in the bytes of a file; ``source`` is its name in messages.

    Raises:
        InputError: no records, or some that are nested too deep.
    """
    try:
        content = _parsed(written.decode("utf-8-sig"))
    except RecursionError:
        raise InputError(f"{shown_path(source)} is nested too deep to hold records.") from None
    if isinstance(content, dict):
        tables = [
            value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        one_record = content and not any(isinstance(value, (list, dict)) for value in content.values())
        content = tables[0] if len(tables) == 1 else [content] if one_record else content
    if isinstance(content, dict) and content and all(isinstance(value, (list, dict)) for value in content.values()):
        return pd.DataFrame(content).reset_index(drop=not all(isinstance(v, dict) for v in content.values()))
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"Expected records in {shown_path(source)}: a list of objects, or one object a line.")
    frame = pd.DataFrame.from_records(content)
    return frame.set_axis(list(map(str, frame.columns)), axis=1)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
