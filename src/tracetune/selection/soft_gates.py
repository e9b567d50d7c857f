"""Soft gates: a factor in [0, 1] on each trained LoRA module, chosen on several periods of validation data.

Factor 0 leaves a module out, 1 keeps it as trained, and factors between shrink it towards its start: selection and
shrinkage in one, chosen by the non-negative garrote (garrote.py). Losses and gradients are read along the diagonal,
where all factors are equal, at its ends and at the two Gauss points of (0, 1), and then where the minimum seems to be.
`fold_gates` multiplies the factors into the weights.

Notation for shapes: M open modules, P periods.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError, unknown_name
from tracetune.selection.garrote import Quadratic, Reads, choose_penalty
from tracetune.selection.gates import Gates, check_base_weights
from tracetune.selection.layers import active_b
from tracetune.selection.passes import FORWARD_BACKWARD
from tracetune.selection.process_means import mean_over_processes
from tracetune.selection.validation import (
    AnyBatch,
    LossFunction,
    batch_size,
    checked_loss,
    model_loss,
    on_device,
    undisturbed,
)

Periods = Sequence[Iterable[AnyBatch]]
"""The validation batches of each period, which can be read again and again."""

DIAGONAL = (0.0, 0.5 - 12**-0.5, 0.5 + 12**-0.5, 1.0)
_SAME_POINT = 1e-3


@dataclass(frozen=True)
class SoftGates:
    """Factors of the open modules, and what they were chosen by.

    Attributes:
        factors: factor in [0, 1] of each open module, by name.
        penalty: the penalty on the sum of factors, in units of the validation loss.
        losses: measured loss of each period with all modules "closed", all "open", and by these "factors".
        forward_equivalents: cost in forward passes over one batch; forward and backward count as 3.
    """

    factors: dict[str, float]
    penalty: float
    losses: dict[str, list[float]]
    forward_equivalents: float


def soft_gates(
    gates: Gates,
    periods: Periods,
    loss_fn: LossFunction = model_loss,
    *,
    steps: int = 4,
    penalty: float | None = None,
    standard_errors: float = 0.0,
) -> SoftGates:
    """Choose a factor for each open module.

    The model is left as it was. With the chosen factors the mean loss over the periods is measured, and is never above
    that of the model with all modules closed.

    Args:
        gates: gates of a trained model; closed modules stay out.
        periods: validation batches of each period; periods weigh the same, whatever their size.
        loss_fn: from model and batch to losses [B] of the samples, or to their mean.
        steps: points to read beyond the four on the diagonal; each takes a forward and backward pass over all periods.
        penalty: fixes the penalty, which is otherwise chosen on periods left out in turn.
        standard_errors: see `choose_penalty`; above 0 for factors that are nearer to 0.

    Raises:
        InputError: fewer than two periods to choose a penalty on, no open module, DoRA or another variant that a
            factor cannot be folded into, or a loss that is not finite.
    """
    reader = _Reader(gates, periods, loss_fn, penalty)
    reads = reader.diagonal()
    for _ in range(steps):
        factors, _ = _choose(Quadratic.of(reads), penalty, standard_errors)
        if (np.abs(reads.points - factors).max(1) < _SAME_POINT).any():
            break
        reads = reads.followed_by(reader.read(factors))
    _, chosen = _choose(Quadratic.of(reads), penalty, standard_errors)
    return reader.result(reads, chosen)


def fold_gates(model: nn.Module, factors: Mapping[str, float]) -> tuple[str, ...]:
    """Multiply the adapters of the named modules by their factors, for good, and return those that are now zero.

    ``lora_B`` is multiplied (and its bias, where it has one), so that the model stays a plain PEFT model, and its
    checkpoint loads to the same outputs. Modules at zero have no effect: close and delete them (``Gates.close``,
    ``Gates.delete_closed``) for a smaller checkpoint.

    Args:
        model: any model with PEFT LoRA layers that are not merged.
        factors: by full module name; modules that are not named stay as they are.

    Raises:
        InputError: an unknown name, a factor that is not finite, merged adapters, or a variant such as DoRA whose
            output is not proportional to ``lora_B``. Then no weight has changed.
    """
    gates = Gates(model)
    for name, factor in factors.items():
        if name not in gates.layers:
            raise unknown_name("LoRA module", name, gates.layers)
        if not np.isfinite(factor):
            raise InputError(f"Expected finite factors, found {factor} for {name!r}.")
    check_foldable(gates, factors)
    with torch.no_grad():
        for name, factor in factors.items():
            for b in active_b(gates.layers[name]):
                for weight in b.parameters():
                    weight.mul_(factor)
    return tuple(name for name, factor in factors.items() if factor == 0)


def check_foldable(gates: Gates, names: Iterable[str]) -> None:
    """Refuse modules whose contribution a factor on ``lora_B`` does not scale.

    Raises:
        InputError: a LoRA variant such as DoRA, or an initialisation that has changed the base weights.
    """
    for name in names:
        layer = gates.layers[name]
        variants = [adapter for adapter in layer.active_adapters if adapter in layer.lora_variant]
        if variants:
            raise InputError(
                f"Expected plain LoRA, found the variant {type(layer.lora_variant[variants[0]]).__name__} in {name!r}: "
                "its output is not proportional to lora_B, so that no factor can be folded in. Train without it "
                "(use_dora=False and the like)."
            )
    check_base_weights(gates.model)


def _choose(model: Quadratic, penalty: float | None, standard_errors: float) -> tuple[np.ndarray, float]:
    """Return factors [M] and the penalty they were found with."""
    chosen = choose_penalty(model, standard_errors) if penalty is None else penalty
    return model.minimum(chosen, range(model.num_periods)), chosen


class _Reader:
    """Reads losses and gradients of a model's open modules on all periods, and counts what that costs."""

    def __init__(self, gates: Gates, periods: Periods, loss_fn: LossFunction, penalty: float | None) -> None:
        self.gates = gates
        self.names = gates.open_names
        self.periods = periods
        self.loss_fn = loss_fn
        self.forward_equivalents = 0.0
        if not self.names:
            raise InputError("Expected at least one open module, found none. Open some: gates.open(names).")
        if len(periods) < (2 if penalty is None else 1):
            raise InputError(
                f"Expected batches of at least two periods to choose on, found {len(periods)}. Split the validation "
                "data in time, or fix the penalty."
            )
        check_foldable(gates, self.names)

    def diagonal(self) -> Reads:
        """Return the four points with equal factors, in rising order."""
        first, *others = (self.read(np.full(len(self.names), factor)) for factor in DIAGONAL)
        for other in others:
            first = first.followed_by(other)
        return first

    def read(self, factors: np.ndarray) -> Reads:
        """Return one point, at ``factors`` [M]."""
        with undisturbed(self.gates.model):
            self.gates.model.requires_grad_(False)
            found = [self._period(factors, batches) for batches in self.periods]
        losses, gradients = (mean_over_processes(np.stack(part)) for part in zip(*found, strict=True))
        return Reads(factors[None], losses[None], gradients[None])

    def result(self, reads: Reads, penalty: float) -> SoftGates:
        """Return the best of all points that were read, by measured losses."""
        best, ends = reads.best(penalty), (0, len(DIAGONAL) - 1)
        places = dict(zip(("closed", "open", "factors"), (*ends, best), strict=True))
        return SoftGates(
            factors=dict(zip(self.names, reads.points[best].tolist(), strict=True)),
            penalty=penalty,
            losses={name: reads.losses[place].tolist() for name, place in places.items()},
            forward_equivalents=self.forward_equivalents,
        )

    def _period(self, factors: np.ndarray, batches: Iterable[AnyBatch]) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean loss [] and its gradient [M] over the samples of one period."""
        loss, gradient, samples = 0.0, np.zeros(len(self.names)), 0
        for batch in on_device(self.gates.model, batches):
            size = batch_size(batch)
            of_batch, slope = self._batch(factors, batch)
            loss, gradient, samples = loss + size * of_batch, gradient + size * slope, samples + size
            self.forward_equivalents += FORWARD_BACKWARD
        return np.array(loss / samples), gradient / samples

    def _batch(self, factors: np.ndarray, batch: AnyBatch) -> tuple[float, np.ndarray]:
        opened = torch.tensor([name in self.names for name in self.gates.names])
        values = torch.zeros(self.gates.M).masked_scatter(opened, torch.as_tensor(factors, dtype=torch.float32))
        values = values.to(self.gates.device).requires_grad_()
        with self.gates.apply(values):
            loss = checked_loss(self.gates.model, batch, self.loss_fn).mean()
            (gradient,) = torch.autograd.grad(loss, values)
        return float(loss.detach()), _numbers(gradient)[opened.numpy()]


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()
