"""What `tracetune models` takes: nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelsConfig:
    """Nothing to choose."""
