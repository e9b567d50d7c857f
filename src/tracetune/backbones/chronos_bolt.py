"""Chronos-Bolt (Ansari et al. 2024, github.com/amazon-science/chronos-forecasting): encoder-decoder with quantiles.

Reads and writes the published layout (config.json + model.safetensors) through the original class, which comes with the
extra ``chronos`` and is imported when a model is loaded.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config

from tracetune.backbones.backbone import Backbone, Encoded
from tracetune.backbones.loading import CONFIG_FILE, WEIGHTS_FILE, read_weights, register_family
from tracetune.backbones.normalisation import InstanceStatistics, per_channel
from tracetune.base.errors import InputError, shown
from tracetune.base.json_types import JsonObject

_UNUSED_KEYS = ("lm_head.weight",)
_MEDIAN = 0.5


class ChronosBolt(Backbone):
    """A Chronos-Bolt model; channels are independent.

    It forecasts quantiles, P steps at once (``prediction_length`` in its config.json). For longer horizons, each
    quantile is appended to a copy of the context, as in the original pipeline.

    Args:
        model: a ``chronos.chronos_bolt.ChronosBoltModelForForecasting``.

    Raises:
        InputError: quantiles that do not ascend, or without the median.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.context_length = model.chronos_config.context_length
        self.width = model.config.d_model
        self.quantile_levels = tuple(model.chronos_config.quantiles)
        levels = list(self.quantile_levels)
        if levels != sorted(set(levels)) or _MEDIAN not in levels:
            raise InputError(f"Expected ascending quantiles with {_MEDIAN} in chronos_config, found {shown(levels)}.")

    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        """Return what the encoder makes of series, see `Backbone.encode`: a token a patch, then [REG] if it has.

        Contexts longer than the model's are cut to their last steps.

        Raises:
            InputError: a ``patch_mask``.
        """
        if patch_mask is not None:
            raise InputError("Expected no patch_mask: Chronos-Bolt cannot hide patches. Leave it out.")
        tokens, (location, scale), *_ = self.model.encode(context=_rows(values, input_mask))
        rows = values.shape[:2]
        return Encoded(
            tokens.unflatten(0, rows), InstanceStatistics(location.unflatten(0, rows), scale.unflatten(0, rows))
        )

    def num_patches(self, context_length: int) -> int:
        """Return the number of tokens N for a context of T steps."""
        config = self.model.chronos_config
        steps = min(context_length, config.context_length)
        padded = math.ceil(steps / config.input_patch_size) * config.input_patch_size
        return (padded - config.input_patch_size) // config.input_patch_stride + 1 + bool(config.use_reg_token)

    def adapted_layers(self) -> list[str]:
        """Return the names of the linear layers of encoder and decoder."""
        linear = [name for name, module in self.named_modules() if isinstance(module, nn.Linear)]
        return [name for name in linear if name.startswith(("model.encoder.", "model.decoder."))]

    def decoder_layers(self) -> list[str]:
        """Return the names of the linear layers of the decoder, which only the zero-shot forecast runs."""
        return [name for name in self.adapted_layers() if name.startswith("model.decoder.")]

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Return the zero-shot forecast [B, C, H]: the median."""
        quantiles = self.forecast_quantiles(past_values, input_mask, prediction_length)
        return quantiles[..., self.quantile_levels.index(_MEDIAN)]

    def forecast_quantiles(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Return quantiles [B, C, H, Q] of the next H steps of past values [B, C, T], at ``quantile_levels``.

        Beyond the P steps of one pass, each of the Q quantiles is put at the end of the context; of the Q x Q quantiles
        that follow, those at ``quantile_levels`` are kept.
        """
        context = _rows(past_values, input_mask)[..., -self.context_length :]
        levels = torch.tensor(self.quantile_levels, device=context.device)
        part = self.model(context=context).quantile_preds.to(context)  # [rows, Q, P]
        parts = [part]
        context = context.unsqueeze(1).expand(-1, len(levels), -1)
        for _ in range(self.num_passes(past_values.shape[-1], prediction_length) - 1):
            context = torch.cat([context, part], dim=-1)[..., -self.context_length :]
            following = self.model(context=context.flatten(0, 1)).quantile_preds.to(context)
            part = torch.quantile(following.unflatten(0, context.shape[:2]).flatten(1, 2), levels, dim=1).transpose(
                0, 1
            )
            parts.append(part)
        quantiles = torch.cat(parts, dim=-1)[..., :prediction_length]
        return quantiles.transpose(1, 2).unflatten(0, past_values.shape[:2])

    def num_passes(self, context_length: int, prediction_length: int) -> int:
        """Return how many passes a forecast of H steps takes, each continuing from the one before."""
        return math.ceil(prediction_length / self.model.chronos_config.prediction_length)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors in the published layout."""
        self.model.save_pretrained(folder)


@register_family("chronosboltmodelforforecasting")
def load_chronos_bolt(folder: Path, config: JsonObject) -> ChronosBolt:
    """Build a `ChronosBolt` from a folder with config.json and model.safetensors.

    Raises:
        InputError: the extra is not installed; weights missing, damaged, or of another geometry than config.json says.
    """
    build = _model_class()
    where = folder / CONFIG_FILE
    if not isinstance(config.get("chronos_config"), dict):
        raise InputError(
            f"Expected chronos_config in {where}, as published, found {shown(config.get('chronos_config'))}."
        )
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights must not use the run's random numbers
            model = build(T5Config.from_dict(config))
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise InputError(f"{where} describes no Chronos-Bolt model: {type(error).__name__}: {error}") from error
    _load_weights(model, folder / WEIGHTS_FILE, where)
    return ChronosBolt(model.float().eval())


def _model_class() -> Any:
    try:
        from chronos.chronos_bolt import ChronosBoltModelForForecasting
    except ImportError as error:
        raise InputError(
            f"Chronos-Bolt needs the package chronos-forecasting ({error}). Install the extra: "
            "pip install 'tracetune[chronos]'."
        ) from error
    return ChronosBoltModelForForecasting


def _load_weights(model: nn.Module, path: Path, where: Path) -> None:
    """Put the weights of a file into a model, all of them."""
    state = {key: tensor for key, tensor in read_weights(path).items() if key not in _UNUSED_KEYS}
    tied = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}  # copies of shared.weight
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"The weights in {path} do not fit {where}: {error}") from error
    lacking = [key for key in missing if key not in tied]
    if lacking or unexpected:
        raise InputError(
            f"The weights in {path} do not fit {where}: missing {shown(lacking)}, unexpected {shown(unexpected)}. "
            "Use a copy from the source of the model."
        )


def _rows(values: Tensor, input_mask: Tensor | None) -> Tensor:
    """Return series [B, C, T] as rows [B*C, T] in float32, NaN where they are not observed."""
    rows = values.float()
    if input_mask is not None:
        rows = torch.where(per_channel(input_mask, values) > 0, rows, torch.nan)
    return rows.flatten(0, 1)
