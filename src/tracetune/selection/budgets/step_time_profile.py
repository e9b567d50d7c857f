"""Seconds of a training step as a function of the open modules."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tracetune.base.errors import InputError, unknown_name
from tracetune.base.json_types import JsonObject
from tracetune.selection.layers import module_place


@dataclass(frozen=True)
class StepTimeProfile:
    """Seconds of a training step as a function of the open modules.

    Attributes:
        base: seconds by block of the lowest open module; they never rise from a block to a higher one.
        cost: seconds that each of the M modules adds, by name.
    """

    base: dict[int, float]
    cost: dict[str, float]

    def __post_init__(self) -> None:
        if {module_place(name).depth for name in self.cost} - self.base.keys() or not self.cost:
            raise InputError(f"Expected base seconds for the block of each module, found blocks {sorted(self.base)}.")
        if not all(np.isfinite(value) and value >= 0 for value in (*self.base.values(), *self.cost.values())):
            raise InputError("Expected seconds that are finite and not negative in a step-time profile.")
        if any(self.base[low] < self.base[high] for low, high in pairwise(sorted(self.base))):
            raise InputError("Expected base seconds that do not rise from a block to a higher one.")

    def seconds(self, open_names: Iterable[str]) -> float:
        """Return seconds of a step with these modules open, one at least.

        Raises:
            InputError: no module, or one that is not in the profile.
        """
        opened = list(open_names)
        if not opened:
            raise InputError("Expected at least one open module, found none.")
        for name in opened:
            if name not in self.cost:
                raise unknown_name("module", name, self.cost)
        return self.base[lowest_block(opened)] + sum(self.cost[name] for name in opened)

    @property
    def full(self) -> float:
        """Return seconds with every module open."""
        return self.seconds(self.cost)

    @property
    def least(self) -> float:
        """Return seconds with the one module open that takes the least."""
        return min(self.seconds([name]) for name in self.cost)

    def to_json(self) -> JsonObject:
        """Return the fields as JSON types."""
        return {"base": {str(block): value for block, value in self.base.items()}, "cost": self.cost}

    @classmethod
    def from_json(cls, content: JsonObject) -> "StepTimeProfile":
        """Return the profile that `to_json` wrote."""
        return cls({int(block): value for block, value in content["base"].items()}, dict(content["cost"]))


def lowest_block(names: Iterable[str]) -> int:
    """Return the block of the lowest of these modules."""
    return min(module_place(name).depth for name in names)
