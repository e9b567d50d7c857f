"""Losses on validation batches, which leave the model unchanged."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError
from tracetune.base.module_device import module_device

AnyBatch = Any
"""A batch as the model takes it: a tensor, or mappings, tuples and lists of tensors."""

LossFunction = Callable[[nn.Module, AnyBatch], Tensor]
"""From a model and a batch to the losses [B] of its samples, or to their mean."""

_SAMPLE_LOSSES = ("sample_losses", "loss_per_sample", "losses")


def model_loss(model: nn.Module, batch: AnyBatch) -> Tensor:
    """Return the loss a model reports itself: losses [B] where its output offers them, otherwise their mean.

    The losses of the samples are looked for in the output under ``sample_losses``, ``loss_per_sample`` and
    ``losses``; the mean under ``loss``.

    Raises:
        InputError: the batch is not a mapping of the model's arguments, or the output holds no loss.
    """
    if not isinstance(batch, Mapping):
        raise InputError(
            f"Expected batches that map the model's arguments to tensors, found {type(batch).__name__}. "
            "Pass loss_fn(model, batch) for batches of another form."
        )
    output = model(**batch)
    for name in (*_SAMPLE_LOSSES, "loss"):
        loss = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(loss, Tensor):
            return loss
    raise InputError(
        f"Expected an output with 'loss' or one of {', '.join(_SAMPLE_LOSSES)}; {type(output).__name__} has none. "
        "Put the targets into the batches, or pass loss_fn(model, batch)."
    )


def checked_loss(model: nn.Module, batch: AnyBatch, loss_fn: LossFunction) -> Tensor:
    """Return losses [B], or their mean [], of one batch, in float32 at least.

    Raises:
        InputError: a loss is not finite, or has more than one dimension.
    """
    loss = loss_fn(model, batch)
    if loss.ndim > 1:
        raise InputError(f"Expected losses of shape [B], or their mean, found {list(loss.shape)}.")
    if not torch.isfinite(loss.detach()).all():
        raise InputError(
            "Expected finite validation losses, found NaN or infinity. "
            "Look for extreme values in the data, or lower the learning rate."
        )
    return loss if loss.dtype == torch.float64 else loss.float()


def mean_loss(model: nn.Module, batches: Iterable[AnyBatch], loss_fn: LossFunction = model_loss) -> float:
    """Return the mean loss over all samples of ``batches``, without gradients; the model is left as it was."""
    total, samples = 0.0, 0
    with undisturbed(model), torch.no_grad():
        for batch in on_device(model, batches):
            size = batch_size(batch)
            total += float(checked_loss(model, batch, loss_fn).mean()) * size
            samples += size
    return total / samples


def sample_losses(model: nn.Module, batches: Iterable[AnyBatch], loss_fn: LossFunction = model_loss) -> np.ndarray:
    """Return the loss of each sample, or of each batch where only means are known; the model is left as it was."""
    with undisturbed(model), torch.no_grad():
        losses = [checked_loss(model, batch, loss_fn).reshape(-1).double().cpu() for batch in on_device(model, batches)]
    return torch.cat(losses).numpy()


def on_device(model: nn.Module, batches: Iterable[AnyBatch]) -> Iterator[AnyBatch]:
    """Yield the batches, one after the other, on the device of the model.

    Raises:
        InputError: there is no batch.
    """
    device = module_device(model)
    empty = True
    for batch in batches:
        empty = False
        yield _mapped(batch, lambda tensor: tensor.to(device))
    if empty:
        raise no_batch()


def no_batch() -> InputError:
    """Return the error for validation data without a batch."""
    return InputError(
        "Expected at least one validation batch, found none. Give more validation data, or a loader without drop_last "
        "(fewer samples than one batch are dropped by it)."
    )


def batch_size(batch: AnyBatch) -> int:
    """Return the number B of samples: the leading dimension of the first tensor in the batch.

    Raises:
        InputError: the batch holds no tensor with a dimension.
    """
    for tensor in _tensors(batch):
        if tensor.ndim:
            return tensor.shape[0]
    raise InputError(f"Expected tensors in a batch, found {type(batch).__name__} without any.")


def chosen_rows(batch: AnyBatch, rows: slice) -> AnyBatch:
    """Return the samples ``rows`` of a batch: these rows of every tensor with a row for each sample."""
    size = batch_size(batch)
    return _mapped(batch, lambda tensor: tensor[rows] if tensor.ndim and len(tensor) == size else tensor)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode inside; restore modes, ``requires_grad`` and random number generators afterwards.

    Raises:
        InputError: weights were changed in place, or replaced, by what ran inside, such as a loss function or a hook;
            what goes past autograd (``weight.data``) is not seen.
    """
    versions = {parameter: _version(parameter) for parameter in model.parameters()}
    modes = {module: module.training for module in model.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - libraries draw from it
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for parameter, flag in trainable.items():
                parameter.requires_grad_(flag)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
    changed = [name for name, weight in model.named_parameters() if versions.get(weight) != _version(weight)]
    if changed:
        raise InputError(
            f"Expected weights that stay as they are while the model is measured, found {len(changed)} changed "
            f"(first: {changed[0]!r}). Look for what writes to weights in loss_fn, in the model's forward, or in hooks."
        )


def _version(weight: Tensor) -> int:
    """Return how often a tensor was changed in place, as autograd counts it."""
    return 0 if weight.is_inference() else weight._version


def _tensors(batch: AnyBatch) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _tensors(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from _tensors(value)


def _mapped(batch: AnyBatch, change: Callable[[Tensor], Tensor]) -> AnyBatch:
    """Return the batch with each of its tensors changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_mapped(value, change) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_mapped(value, change) for value in batch)
    return batch
