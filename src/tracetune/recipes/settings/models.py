"""Settings of `tracetune models`, which has none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelsConfig:
    """Settings of `tracetune models`, which has none."""
