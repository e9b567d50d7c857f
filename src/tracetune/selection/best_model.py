"""The best model on the way: adapter and head weights beside the modules that were open, in memory and in files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.round_record import RoundRecord


@dataclass
class BestModel:
    """The trained weights with the lowest validation loss so far, kept in main memory.

    Attributes:
        loss: its validation loss.
        step: optimiser step at which it was seen.
        open: modules that were open.
        weights: trained parameters by name: adapters, and whatever else trains (PEFT's ``modules_to_save``).
    """

    loss: float = math.inf
    step: int = 0
    open: tuple[str, ...] = ()
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, gates: Gates, loss: float, step: int) -> bool:
        """Take the model as it is, unless a lower loss was seen; at equal loss the later, smaller model wins."""
        if loss > self.loss:
            return False
        self.loss, self.step, self.open = loss, step, gates.open_names
        self.weights = {name: weight.detach().cpu().clone() for name, weight in _trained(gates).items()}
        return True

    def restore(self, gates: Gates) -> None:
        """Bring the model back to what was taken."""
        trained = _trained(gates)
        for name, weight in self.weights.items():
            trained[name].data.copy_(weight)
        gates.set_open(self.open)

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        metadata = {"loss": self.loss.hex(), "step": str(self.step), "open": "\n".join(self.open)}
        with staged_file(path) as temporary:
            save_file(self.weights, temporary, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> "BestModel":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing.
        """
        if not path.is_file():
            raise InputError(
                f"Expected the best model so far in {path}; it is missing. It belongs to the checkpoints beside its "
                "folder: restore it with them, or start anew in another folder."
            )
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        opened = tuple(name for name in metadata["open"].split("\n") if name)
        return cls(float.fromhex(metadata["loss"]), int(metadata["step"]), opened, weights)


def best_round(records: Sequence[RoundRecord], until: int | None = None) -> int | None:
    """Return the step of the round before which validation loss was lowest, the latest of equals; None without a loss.

    Args:
        records: all rounds so far.
        until: the last step to look at.
    """
    losses = {
        record.step: record.validation_loss
        for record in records
        if record.validation_loss is not None and (until is None or record.step <= until)
    }
    return min(losses, key=lambda step: (losses[step], -step)) if losses else None


def _trained(gates: Gates) -> dict[str, Tensor]:
    adapters = {id(weight) for layer in gates.layers.values() for weight in adapter_parameters(layer).values()}
    named = gates.model.named_parameters()
    return {name: weight for name, weight in named if weight.requires_grad or id(weight) in adapters}
