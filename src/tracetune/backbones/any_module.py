"""Any ``nn.Module`` as a backbone: what encodes, what shape comes out, and which linear layers adapt, in one call.

The module sees normalised series without gaps; forecasts go back to the units of the input.
"""

import copy
import inspect
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from tracetune.backbones.backbone import Backbone, Encoded
from tracetune.backbones.loading import CONFIG_FILE, WEIGHTS_FILE, read_weights, register_family
from tracetune.backbones.normalisation import interpolate_gaps, normalise, per_channel
from tracetune.base.errors import InputError, argument, shown
from tracetune.base.files import read_json_object, write_json
from tracetune.base.json_types import JsonObject

logger = logging.getLogger(__name__)

FAMILY = "wrapped_module"

Encode = Callable[[Any, Tensor, Tensor], Tensor]
"""From the module, values and the observed steps (both [B*C, T], or [B, C, T] with joint channels) to tokens."""


def wrap_module(
    module: nn.Module,
    *,
    context_length: int,
    width: int,
    patch_length: int = 1,
    num_tokens: Callable[[int], int] | None = None,
    encode: Encode | str | None = None,
    layers: tuple[str, ...] | None = None,
    joint_channels: bool = False,
) -> "AnyModule":
    """Describe a module as a backbone, and try it on one batch.

    >>> from torch import nn
    >>> gru = nn.GRU(input_size=8, hidden_size=16, batch_first=True)
    >>> backbone = wrap_module(
    ...     gru,
    ...     context_length=64,
    ...     width=16,
    ...     patch_length=8,
    ...     encode=lambda module, values, observed: module(values.unflatten(-1, (-1, 8)))[0],
    ... )
    >>> backbone.num_patches(64)
    8

    Args:
        module: takes normalised series, missing steps interpolated.
        context_length: T, the default context; the module is tried with it.
        width: D of a token.
        patch_length: P, steps that one token stands for; series are padded on the left to whole patches.
        num_tokens: N for T steps, a multiple of P, where it is not T / P (one summary token: ``lambda steps: 1``).
        encode: function of the module, values [B*C, T] and observed steps [B*C, T] (bool) that returns tokens
            [B*C, N, D]; or the name of a submodule or method that makes tokens of values; None calls the module.
        layers: glob patterns over the names of linear layers that adapt, e.g. ("encoder.*",); None for all.
        joint_channels: the module mixes channels: it takes [B, C, T] and returns [B, C, N, D].

    Raises:
        InputError: a length below 1, no such submodule, the module fails, something else than the described tokens
            comes out, or a pattern fits no linear layer that runs while encoding.
    """
    for name, value in (("context_length", context_length), ("width", width), ("patch_length", patch_length)):
        if value < 1:
            raise InputError(f"Expected {name} of at least 1, found {value}.")
    function = _encode_function(module, encode)
    backbone = AnyModule(module, function, context_length, width, patch_length, num_tokens, joint_channels)
    backbone.layers = _adapted_layers(backbone, layers)
    return backbone


class AnyModule(Backbone):
    """A module described by `wrap_module`.

    It has no zero-shot forecast and cannot hide patches. Batch normalisation keeps its statistics while adapters train,
    because adapters are saved without them.
    """

    def __init__(
        self,
        module: nn.Module,
        encode: Encode,
        context_length: int,
        width: int,
        patch_length: int,
        num_tokens: Callable[[int], int] | None,
        joint_channels: bool,
    ) -> None:
        super().__init__()
        self.module = module
        self.context_length = context_length
        self.width = width
        self.patch_length = patch_length
        self.joint_channels = joint_channels
        self.layers: list[str] = []
        self._encode = encode
        self._num_tokens = num_tokens

    def num_patches(self, context_length: int) -> int:
        """Return the number of tokens N for a context of T steps, padded to whole patches."""
        patches = math.ceil(context_length / self.patch_length)
        return patches if self._num_tokens is None else self._num_tokens(patches * self.patch_length)

    def adapted_layers(self) -> list[str]:
        """Return the names of the linear layers that were chosen and run while encoding."""
        return list(self.layers)

    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        """Normalise series, fill their gaps, and encode them, see `Backbone.encode`.

        Gaps are interpolated linearly after normalising; the edges repeat the nearest observed step.

        Raises:
            InputError: a ``patch_mask``, or tokens of another shape than was described.
        """
        if patch_mask is not None:
            raise InputError("Expected no patch_mask: a module that was wrapped cannot hide patches. Leave it out.")
        padding = -values.shape[-1] % self.patch_length
        observed = torch.ones_like(values, dtype=torch.bool) if input_mask is None else input_mask.bool()
        observed = functional.pad(per_channel(observed, values) & ~values.isnan(), (padding, 0))
        normalised, statistics = normalise(functional.pad(values.float(), (padding, 0), value=torch.nan), observed)
        filled = interpolate_gaps(normalised, observed).to(_dtype_of(self.module))
        if not self.joint_channels:
            filled, observed = filled.flatten(0, 1), observed.flatten(0, 1)
        with _plain_attention():
            tokens = self._encode(self.module, filled, observed)
        self._check_tokens(tokens, filled)
        return Encoded(tokens if self.joint_channels else tokens.unflatten(0, values.shape[:2]), statistics)

    def train(self, mode: bool = True) -> "AnyModule":
        """Switch the mode, but leave batch normalisation in evaluation mode."""
        super().train(mode)
        for part in self.module.modules():
            if isinstance(part, _BatchNorm):
                part.eval()
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the weights of the module, and what it was; `with_weights` of a module like it takes them."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        save_model(self.module, str(target / WEIGHTS_FILE))
        described = {"module": type(self.module).__name__, "width": self.width, "patch_length": self.patch_length}
        write_json(target / CONFIG_FILE, {"model_name": FAMILY, **described})

    def with_weights(self, folder: str | Path) -> "AnyModule":
        """Return a copy of this backbone with the weights that `save_pretrained` wrote.

        Raises:
            InputError: weights of another kind of model, damaged ones, or such that do not fit the module.
        """
        source = Path(folder)
        if read_json_object(source / CONFIG_FILE).get("model_name") != FAMILY:
            raise InputError(f"{source} holds a backbone that needs no module: leave out {argument('base')}.")
        weights, found = read_weights(source / WEIGHTS_FILE), copy.deepcopy(self)
        try:
            load_model(found.module, str(source / WEIGHTS_FILE))
        except RuntimeError as error:
            raise InputError(
                f"The {len(weights)} weights in {source} do not fit {type(self.module).__name__}: "
                f"{shown(str(error), 300)}. Give the module that they were trained with."
            ) from error
        return found

    def _check_tokens(self, tokens: object, values: Tensor) -> None:
        """Refuse what is not of the described shape."""
        expected = [*values.shape[:-1], self.num_patches(values.shape[-1]), self.width]
        if isinstance(tokens, Tensor) and list(tokens.shape) == expected:
            return
        shape = "[B, C, N, D]" if self.joint_channels else "[B*C, N, D]"
        found = f"a tensor of {list(tokens.shape)}" if isinstance(tokens, Tensor) else f"a {type(tokens).__name__}"
        raise InputError(
            f"Expected tokens {shape} = {expected} of values {list(values.shape)}, found {found}. Give wrap_module the "
            f"width D and the patch_length or num_tokens that fit, or an encode that takes the tokens out of what "
            f"{type(self.module).__name__} returns: encode=lambda module, values, observed: ..."
        )


def _encode_function(module: nn.Module, encode: Encode | str | None) -> Encode:
    """Return ``encode`` as a function of the module, values and observed steps."""
    if encode is None:
        return lambda inner, values, observed: inner(values)
    if isinstance(encode, str):
        _require_callable(module, encode)
        return lambda inner, values, observed: _attribute(inner, encode)(values)
    if isinstance(encode, nn.Module) or isinstance(getattr(encode, "__self__", None), nn.Module):
        raise InputError(
            "Expected encode as the name of a submodule or method, or as a function of the module, found a module or "
            "its method: adapters train a copy, which it would not use. Give its name as a string."
        )
    if inspect.isfunction(encode) and any(_is_part(value, module) for value in _outer_values(encode)):
        raise InputError(
            "Expected an encode that uses the module which it is given as its first argument, found one that refers to "
            "the original: adapters train a copy, which it would not use. Write encode=lambda module, values, "
            "observed: ... and use that module."
        )
    return encode


def _require_callable(module: nn.Module, name: str) -> None:
    try:
        found = _attribute(module, name)
    except AttributeError:
        children = ", ".join(child for child, _ in module.named_children()) or "none"
        raise InputError(
            f"Expected encode to name a submodule or method of {type(module).__name__}, found {shown(name)}. "
            f"Its submodules: {children}."
        ) from None
    if not callable(found):
        raise InputError(f"Expected encode to name a submodule or method, found the {type(found).__name__} {name!r}.")


def _attribute(module: object, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _outer_values(function: Callable[..., object]) -> Iterator[object]:
    """Yield what a function refers to besides its arguments."""
    outer = inspect.getclosurevars(function)
    yield from outer.nonlocals.values()
    yield from outer.globals.values()


def _is_part(value: object, module: nn.Module) -> bool:
    return isinstance(value, nn.Module) and any(value is part for part in module.modules())


def _adapted_layers(backbone: AnyModule, patterns: tuple[str, ...] | None) -> list[str]:
    """Return the linear layers that fit a pattern and run while encoding, found by encoding one batch.

    A layer whose weights are used without calling it, as the output layer of ``nn.MultiheadAttention``, cannot adapt:
    adapters on it would change nothing.
    """
    linear = {name: part for name, part in backbone.named_modules() if isinstance(part, nn.Linear)}
    names = {name: name.removeprefix("module.") for name in linear}
    called = _layers_called(backbone, linear)
    chosen = [name for name in linear if patterns is None or any(fnmatchcase(names[name], one) for one in patterns)]
    for pattern in patterns or ():
        fitting = [name for name in linear if fnmatchcase(names[name], pattern)]
        if not any(name in called for name in fitting):
            why = "encoding calls none of the layers that it fits" if fitting else "it fits none"
            raise InputError(
                f"Expected layers {pattern!r} to name linear layers that run while encoding: {why}. "
                f"Layers that run: {shown(', '.join(names[name] for name in linear if name in called) or 'none')}."
            )
    if idle := [names[name] for name in chosen if name not in called]:
        logger.warning("Without adapters, because encoding does not call them as layers: %s.", ", ".join(idle))
    return [name for name in chosen if name in called]


def _layers_called(backbone: AnyModule, layers: dict[str, nn.Linear]) -> set[str]:
    """Return the names of the layers that are called while two series of T steps are encoded."""
    called: set[str] = set()
    handles = [layer.register_forward_hook(lambda *_, name=name: called.add(name)) for name, layer in layers.items()]
    parameter = next(backbone.parameters(), None)
    steps = torch.linspace(0, 20, backbone.context_length, device=None if parameter is None else parameter.device)
    modes = {part: part.training for part in backbone.modules()}
    try:
        with torch.no_grad():
            backbone.eval().encode(torch.stack([steps.sin(), steps.cos()]).unsqueeze(1))
    except InputError:
        raise
    except Exception as error:
        values = [2, 1, backbone.context_length] if backbone.joint_channels else [2, backbone.context_length]
        raise InputError(
            f"{type(backbone.module).__name__} failed on values {values}: {type(error).__name__}: {shown(str(error))}. "
            "Expected a module that takes such values, or an encode that gives it what it takes."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes.items():
            part.training = mode
    return called


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Make PyTorch's transformer layers call their linear layers, inside the context.

    Their fast path for evaluation reads the weights without calling the layers, and so skips the adapters.
    """
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)


@register_family(FAMILY)
def _refuse_without_module(folder: Path, config: JsonObject) -> Backbone:
    raise InputError(
        f"{folder} holds weights of a module of your own ({config.get('module')}), not the module. Load it in Python, "
        "with the module described as it was: base=wrap_module(module, ...)."
    )
