"""JSON as Python has it."""

from typing import Any

JsonObject = dict[str, Any]
"""An object of a JSON file, as `json` reads it; `tracetune.base.schema.from_json` gives it the types of a dataclass."""
