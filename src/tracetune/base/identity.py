"""Records that say to which run a folder of checkpoints or other state belongs; another run is refused."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracetune.base.errors import InputError, argument, shown
from tracetune.base.files import read_json_object, write_json
from tracetune.base.json_types import JsonObject
from tracetune.base.leftovers import remove

logger = logging.getLogger(__name__)

RECORD_FILE = "run.json"
FORMAT = 1  # of checkpoints and other state; increased when the code cannot continue from older ones
_MOST_DIFFERENCES = 8


def run_identity(**parts: object) -> JsonObject:
    """Return a flat record of all that decides a run's result: dotted names to JSON values, and the state's format."""
    return {"format": FORMAT, **_flat(json.loads(json.dumps(parts, default=str)))}


def identity_digest(identity: Mapping[str, object]) -> str:
    """Return the SHA-256 of a record, whatever the order of its entries."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def claim(folder: str | Path, identity: Mapping[str, object], state: Sequence[str], *, restart: bool = False) -> None:
    """Make ``folder`` the place of this run's state, or go on with what is there if it is of this very run.

    Args:
        folder: made where it does not exist; the record goes into its run.json.
        identity: from `run_identity`.
        state: patterns (``glob``) of the files and folders that hold state of a run; nothing else is touched.
        restart: discard the state that is there.

    Raises:
        InputError: the state belongs to another run, or has no record.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    record = place / RECORD_FILE
    found = [path for pattern in state for path in sorted(place.glob(pattern))]
    if found and restart:
        for path in found:
            remove(path)
    elif found:
        _require_same(place, identity)
        return
    write_json(record, {"digest": identity_digest(identity), "identity": dict(identity)})


def _require_same(folder: Path, identity: Mapping[str, object]) -> None:
    ways = f"Choose another folder, or discard what is there with {argument('restart', True)}."
    try:
        content = read_json_object(folder / RECORD_FILE)
        before = content["identity"]
        known = isinstance(before, dict) and content["digest"] == identity_digest(before)
    except (InputError, KeyError):
        known = False
    if not known:
        raise InputError(f"{folder} holds state of a run without a readable {RECORD_FILE} that says of which. {ways}")
    if changed := differences(before, identity):
        more = f", and {len(changed) - _MOST_DIFFERENCES} more" if len(changed) > _MOST_DIFFERENCES else ""
        raise InputError(f"{folder} holds state of another run: {', '.join(changed[:_MOST_DIFFERENCES])}{more}. {ways}")


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return what differs between two records: ``"training.learning_rate 0.003 there, 1e-05 here"``."""
    names = [*now, *(name for name in before if name not in now)]
    return [
        f"{name} {_value(before, name)} there, {_value(now, name)} here"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _value(record: Mapping[str, object], name: str) -> str:
    value = record.get(name)
    if isinstance(value, str) and len(value) == 64:  # a digest
        return f"{value[:8]}..."
    return "none" if value is None else shown(value, 60)


def _flat(parts: Mapping[str, object], prefix: str = "") -> JsonObject:
    entries: JsonObject = {}
    for name, value in parts.items():
        if isinstance(value, dict):
            entries.update(_flat(value, f"{prefix}{name}."))
        else:
            entries[prefix + name] = value
    return entries
