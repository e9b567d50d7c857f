"""Steps of the checkpoints in a Trainer's output folder."""

import re
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in ``folder``, whole or not, in rising order."""
    found = (re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name) for path in folder.glob("*") if path.is_dir())
    return sorted(int(match.group(1)) for match in found if match)
