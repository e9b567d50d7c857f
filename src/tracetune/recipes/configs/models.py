"""Settings of `tracetune models`: nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelsConfig:
    """Nothing to choose."""
