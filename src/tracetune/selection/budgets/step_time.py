"""The time of a training step as a function of the open modules, measured on the model.

Blocks below the lowest open module run forward only, so the seconds of a step with the open modules S are taken to be

    time(S) = base[k] + sum over m in S of cost[m]        k = block of the lowest module in S

base[k] falls with k: the gradient has a shorter way. cost[m] is linear in the parameters of m: a product with a thin
matrix takes what it takes to read and write the wide one, a LoRA layer has r parameters for each of those columns, and
each call has a fixed cost. Steps of a few sets S are timed on a few rows of a batch, and base and cost follow by
non-negative least squares. Only shares of the time of a step are used, and they carry over to larger batches.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from scipy.optimize import nnls

from tracetune.selection.budgets.step_time_profile import StepTimeProfile, lowest_block
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters, module_place, unwrapped
from tracetune.selection.passes import FORWARD, FORWARD_BACKWARD
from tracetune.selection.validation import AnyBatch, LossFunction, batch_size, checked_loss, chosen_rows, undisturbed

_ROUNDS = 3
_MOST_BLOCKS = 4
_ROWS_ON_CPU = 16  # enough for matrix products to run as fast as they do with more


def measure_step_time(gates: Gates, batch: AnyBatch, loss_fn: LossFunction, rounds: int = _ROUNDS) -> StepTimeProfile:
    """Fit a profile to the times of a few sets of open modules on the first rows of a batch; see `step_seconds`.

    Seconds are those of that many rows: 16 on a CPU, all of them elsewhere.
    """
    counts = gates.parameter_counts()
    sets = profile_sets(counts)
    few = chosen_rows(batch, slice(_timed_rows(batch_size(batch), gates.device)))
    return fit_profile(counts, sets, step_seconds(gates, sets, few, loss_fn, rounds))


def step_seconds(
    gates: Gates, sets: Sequence[Sequence[str]], batch: AnyBatch, loss_fn: LossFunction, rounds: int = _ROUNDS
) -> np.ndarray:
    """Return seconds [sets] of forward and backward passes of the model in training form with these modules open.

    Weights, gradients, ``requires_grad``, modes, gates, buffers and random number generators are afterwards what they
    were. The optimizer's own time is left out, and a model under torch.compile runs eagerly. A forward pass that is not
    timed comes before each step: a model that remembers outputs of frozen blocks has those of this set then, as it has
    in training.

    Args:
        gates: gates of the model.
        sets: names of the modules to open, one or more in each set.
        batch: one batch as the model takes it, on its device.
        loss_fn: from model and batch to losses [B], or to their mean.
        rounds: rounds over the sets; the least time of a set counts, which other work on the machine disturbs least.

    Raises:
        InputError: a loss is not finite.
    """
    with _unchanged(gates):
        # interleaved, so that a slow moment of the machine hits all sets alike
        timed = [[_timed_step(gates, opened, batch, loss_fn) for opened in sets] for _ in range(rounds)]
    return np.min(timed, axis=0)


def profile_passes(parameter_counts: Mapping[str, int], rows: int, device: torch.device) -> float:
    """Return the cost of `measure_step_time` in forward passes over its batch of ``rows`` rows, at most."""
    share = _timed_rows(rows, device) / rows
    return len(profile_sets(parameter_counts)) * _ROUNDS * (FORWARD + FORWARD_BACKWARD) * share


def profile_sets(parameter_counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return sets of open modules to time, by the parameters of each module.

    The smallest module of each of at most 4 evenly spaced blocks alone, all modules, those with fewer parameters than
    the mean module, and the others.
    """
    names, mean = tuple(parameter_counts), float(np.mean(list(parameter_counts.values())))
    cheap = [
        min((n for n in names if module_place(n).depth == block), key=lambda n: parameter_counts[n])
        for block in _knots(names)
    ]
    small = tuple(name for name in names if parameter_counts[name] < mean)
    large = tuple(name for name in names if parameter_counts[name] >= mean)
    return [opened for opened in dict.fromkeys([*((name,) for name in cheap), names, small, large]) if opened]


def fit_profile(
    parameter_counts: Mapping[str, int], sets: Sequence[Sequence[str]], seconds: np.ndarray
) -> StepTimeProfile:
    """Return the profile closest to the ``seconds`` of steps with these sets open, in relative terms.

    Base seconds are sums of non-negative steps from the highest block down, known at the blocks that
    `profile_sets` takes and interpolated linearly between them.
    """
    names = tuple(parameter_counts)
    knots = _knots(names)
    shares = {block: _interpolation(block, knots) for block in sorted({module_place(n).depth for n in names})}
    design = np.array(
        [
            [*np.cumsum(shares[lowest_block(opened)]), len(opened), sum(parameter_counts[name] for name in opened)]
            for opened in sets
        ]
    )
    unit = design.max(axis=0)
    solution, _ = nnls(design / unit / seconds[:, None], np.ones(len(sets)))
    *steps, per_module, per_parameter = (solution / unit).tolist()
    at_knots = np.cumsum(steps[::-1])[::-1]
    base = np.minimum.accumulate([share @ at_knots for share in shares.values()])
    return StepTimeProfile(
        dict(zip(shares, base.tolist(), strict=True)),
        {name: per_module + per_parameter * count for name, count in parameter_counts.items()},
    )


def _timed_rows(rows: int, device: torch.device) -> int:
    return min(rows, _ROWS_ON_CPU) if device.type == "cpu" else rows


def _knots(names: Iterable[str]) -> list[int]:
    """Return blocks whose base seconds are fitted: the first, the last, and evenly spaced ones between."""
    blocks = sorted({module_place(name).depth for name in names})
    places = np.linspace(0, len(blocks) - 1, min(_MOST_BLOCKS, len(blocks))).round().astype(int)
    return [blocks[place] for place in places]


def _interpolation(block: int, knots: list[int]) -> np.ndarray:
    """Return weights [knots] of the base seconds at the knots in those at ``block``."""
    return np.array([np.interp(block, knots, row) for row in np.eye(len(knots))])


def _timed_step(gates: Gates, opened: Sequence[str], batch: AnyBatch, loss_fn: LossFunction) -> float:
    """Return seconds of one forward and backward pass with these modules open."""
    gates.set_open(opened)
    gates.model.train()  # after opening: what is frozen may stay in evaluation mode
    model, weights = unwrapped(gates.model), [weight for weight in gates.model.parameters() if weight.requires_grad]
    with torch.no_grad():
        checked_loss(model, batch, loss_fn)
    _wait(gates.device)
    started = time.perf_counter()
    loss = checked_loss(model, batch, loss_fn).mean()
    torch.autograd.grad(loss, weights, allow_unused=True)  # unlike backward(), it leaves gradients alone
    _wait(gates.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _unchanged(gates: Gates) -> Iterator[None]:
    """Restore at the end what training passes and opening or closing modules change."""
    model, before = gates.model, gates.open_names
    gradients = {
        weight: weight.grad for layer in gates.layers.values() for weight in adapter_parameters(layer).values()
    }
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}  # running statistics of batch normalisation
    with undisturbed(model), torch.compiler.set_stance("force_eager"):
        try:
            yield
        finally:
            gates.set_open(before)
            for weight, gradient in gradients.items():
                weight.grad = gradient
            _restore(buffers)


@torch.no_grad()
def _restore(buffers: Mapping[torch.Tensor, torch.Tensor]) -> None:
    for buffer, value in buffers.items():
        buffer.copy_(value)
