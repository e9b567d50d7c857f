"""MOMENT (Goswami et al. 2024, arXiv 2402.03885) on transformers' T5 encoder.

Reads and writes the layout of ``AutonLab/MOMENT-1-*`` (config.json + model.safetensors); outputs equal
momentfm's. T5's token embedding is unused and not kept.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import T5Config
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.t5.modeling_t5 import T5Stack

from tracetune.backbones.backbone import Backbone, Encoded, Prefix, evaluate_frozen
from tracetune.backbones.loading import read_weights, register_family
from tracetune.backbones.moment_config import MomentConfig
from tracetune.backbones.normalisation import interpolate_gaps, normalise, per_channel
from tracetune.base.errors import InputError
from tracetune.base.files import staged_file, write_json
from tracetune.base.json_types import JsonObject

_UNUSED_KEYS = ("encoder.embed_tokens.weight", "shared.weight", "patch_embedding.position_embedding.pe")


class PatchEmbedding(nn.Module):
    """Linear patch embedding with a learned vector for hidden patches and sinusoidal positions."""

    def __init__(self, config: MomentConfig) -> None:
        super().__init__()
        self.value_embedding = nn.Linear(config.patch_len, config.width, bias=config.value_embedding_bias)
        self.mask_embedding = nn.Parameter(torch.zeros(config.width))
        self.dropout = nn.Dropout(config.patch_dropout)
        self.add_positional_embedding = config.add_positional_embedding
        nn.init.orthogonal_(self.value_embedding.weight, gain=1.41)

    def forward(self, patches: Tensor, hidden: Tensor | None) -> Tensor:
        """Embed patches [B, C, N, P]; where ``hidden`` [B, C, N] is true the mask vector stands in. -> [B, C, N, D]."""
        tokens = self.value_embedding(patches)
        if hidden is not None:
            tokens = torch.where(hidden.unsqueeze(-1), self.mask_embedding.to(tokens.dtype), tokens)
        if self.add_positional_embedding:
            positions = sinusoidal_positions(tokens.shape[-2], tokens.shape[-1], tokens.device)
            tokens = tokens + positions.to(tokens.dtype)
        return self.dropout(tokens)


class ReconstructionHead(nn.Module):
    """Maps each token back to the steps of its patch: [B, C, N, D] -> [B, C, N P]."""

    def __init__(self, config: MomentConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.head_dropout)
        self.linear = nn.Linear(config.width, config.patch_len)
        nn.init.orthogonal_(self.linear.weight, gain=1.41)
        nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Reconstruct normalised values [B, C, N P] from tokens [B, C, N, D]."""
        return self.linear(self.dropout(tokens)).flatten(start_dim=2)


class Moment(Backbone):
    """MOMENT encoder with its reconstruction head; channels are independent.

    Series are [B, C, T]; ``input_mask`` (1 = observed) is [B, C, T], or [B, T] where channels share it.
    Any T works: it is padded on the left, as unobserved, to a multiple of the patch length.
    """

    def __init__(self, config: MomentConfig) -> None:
        super().__init__()
        self.config = config
        self.context_length = config.seq_len
        self.patch_length = config.patch_len
        self.width = config.width
        self.patch_embedding = PatchEmbedding(config)
        self.encoder = _t5_encoder(config)
        self.reconstruction = ReconstructionHead(config)
        self.prefix: Prefix | None = None

    @property
    def token_to_patch(self) -> nn.Linear:
        """Return the map from a token [D] to the P steps of its patch, normalised."""
        return self.reconstruction.linear

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, in the order in which they run."""
        return self.encoder.block

    def num_patches(self, context_length: int) -> int:
        """Return the number of tokens N for a context of T steps."""
        return math.ceil(context_length / self.patch_length)

    def encode(
        self,
        values: Tensor,
        input_mask: Tensor | None = None,
        patch_mask: Tensor | None = None,
        hide_unobserved: bool = False,
    ) -> Encoded:
        """Normalise, patch and encode series.

        Args:
            values: [B, C, T] series; NaN counts as missing.
            input_mask: [B, C, T] or [B, T], 1 where observed; None for all observed.
            patch_mask: [B, C, N] or [B, N] bool, true for patches hidden from the model.
            hide_unobserved: also hide patches with missing steps behind the mask vector.

        Returns:
            Tokens [B, C, N, D] and the statistics of the visible steps.
        """
        values, observed = self._align(values, input_mask)
        hidden = None if patch_mask is None else per_channel(patch_mask, values).bool()
        visible = observed if hidden is None else observed & ~hidden.repeat_interleave(self.patch_length, dim=-1)
        normalised, statistics = normalise(values, visible)
        if self.config.partial_patches == "fill":
            normalised = interpolate_gaps(normalised, visible)
        return Encoded(self._encode_normalised(normalised, observed, hidden, hide_unobserved), statistics)

    def forward(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Tensor:
        """Reconstruct series [B, C, T] (see `encode` for the arguments) in the units of the input."""
        tokens, statistics = self.encode(values, input_mask, patch_mask)
        steps = statistics.denormalise(self.reconstruction(tokens).float())
        return steps[..., -values.shape[-1] :]

    def embed(self, values: Tensor, input_mask: Tensor | None = None) -> Tensor:
        """Return one embedding [B, D] a sample: the mean of the tokens of the observed patches of all channels."""
        tokens, _ = self.encode(values, input_mask, hide_unobserved=True)
        _, observed = self._align(values, input_mask)
        weights = self._patch_view(observed).unsqueeze(-1).float()  # [B, C, N, 1]
        return (tokens * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1)

    def forecast(self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int) -> Tensor:
        """Return the zero-shot forecast [B, C, H]: the future is a hidden suffix to be reconstructed.

        The oldest patches are dropped to make room for the suffix. A horizon longer than half of the context is
        forecast in parts, each continuing from the one before.
        """
        longest = self._longest_suffix(past_values.shape[-1])
        parts: list[Tensor] = []
        observed = per_channel(torch.ones_like(past_values) if input_mask is None else input_mask, past_values)
        while (done := sum(part.shape[-1] for part in parts)) < prediction_length:
            part = self._forecast_suffix(past_values, observed, min(longest, prediction_length - done))
            parts.append(part)
            past_values = torch.cat([past_values, part], dim=-1)[..., part.shape[-1] :]
            observed = torch.cat([observed, torch.ones_like(part)], dim=-1)[..., part.shape[-1] :]
        return torch.cat(parts, dim=-1)

    def encode_future(
        self, past_values: Tensor, input_mask: Tensor | None, prediction_length: int, future_only: bool = False
    ) -> Encoded:
        """Return tokens [B, C, N, D] of a context whose last patches are hidden ones in place of the next H steps.

        The oldest patches are dropped. The statistics are those of the whole context, [B, C, T].

        Args:
            past_values: [B, C, T].
            input_mask: [B, C, T] or [B, T], 1 where observed.
            prediction_length: H.
            future_only: return the tokens of the hidden patches alone. Where all series begin late, the empty patches
                before them are left out of the computation: nothing attends to them.
        """
        values, observed = self._align(past_values, input_mask)
        normalised, statistics = normalise(values, observed)
        if self.config.partial_patches == "fill":
            normalised = interpolate_gaps(normalised, observed)
        future = self.num_patches(prediction_length)
        suffix = future * self.patch_length
        normalised = functional.pad(normalised[..., suffix:], (0, suffix))
        observed = functional.pad(observed[..., suffix:], (0, suffix), value=True)
        hidden = torch.zeros_like(self._patch_view(observed))
        hidden[..., -future:] = True
        tokens = self._encode_normalised(normalised, observed, hidden, False, skip_empty=future_only)
        return Encoded(tokens[..., -future:, :] if future_only else tokens, statistics)

    def adapted_layers(self) -> list[str]:
        """Return names of the linear layers that adapters go on: all of the encoder."""
        linear = (name for name, module in self.encoder.named_modules() if isinstance(module, nn.Linear))
        return [f"encoder.{name}" for name in linear]

    def num_passes(self, context_length: int, prediction_length: int) -> int:
        """Return how many passes through the encoder `forecast` takes."""
        return math.ceil(prediction_length / self._longest_suffix(context_length))

    def run_blocks(self, hidden: Tensor, attended: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return hidden states [B, C, N, D] after blocks ``start`` to ``stop`` from those before; attended [B, C, N].

        This is the loop of ``T5Stack.forward``, which can only start at the first block.
        """
        rows, patches = hidden.flatten(0, 1), hidden.shape[-2]
        attention_mask = create_bidirectional_mask(
            config=self.encoder.config, inputs_embeds=rows, attention_mask=attended.flatten(0, 1).long()
        )
        attention = self.encoder.get_submodule("block.0.layer.0.SelfAttention")  # its position bias is shared by all
        position_bias = attention.compute_bias(patches, patches, device=rows.device)
        with _attention_kernels(rows.device):
            for block in self.blocks[start:stop]:
                rows = block(rows, attention_mask, position_bias)[0]
        return rows.unflatten(0, hidden.shape[:2])

    def train(self, mode: bool = True) -> "Moment":
        """Set the mode as PyTorch does; what lies below the lowest trainable block stays in evaluation mode."""
        super().train(mode)
        evaluate_frozen(self.patch_embedding, self.blocks)
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors in MOMENT's layout."""
        state = {_hub_key(key): tensor.contiguous() for key, tensor in self.state_dict().items()}
        with staged_file(Path(folder) / "model.safetensors") as temporary:
            save_file(state, temporary, metadata={"format": "pt"})
        write_json(Path(folder) / "config.json", self.config.to_dict())

    def _longest_suffix(self, context_length: int) -> int:
        return max(self.num_patches(context_length) // 2, 1) * self.patch_length

    def _forecast_suffix(self, past_values: Tensor, observed: Tensor, prediction_length: int) -> Tensor:
        tokens, statistics = self.encode_future(past_values, observed, prediction_length, future_only=True)
        return statistics.denormalise(self.reconstruction(tokens).float())[..., :prediction_length]

    def _encode_normalised(
        self,
        normalised: Tensor,
        observed: Tensor,
        hidden: Tensor | None,
        hide_unobserved: bool,
        skip_empty: bool = False,
    ) -> Tensor:
        """Return tokens [B, C, N, D] of normalised series [B, C, N P], without empty first ones if they are skipped."""
        attended = self._patch_view(observed)  # [B, C, N]
        if hide_unobserved:
            hidden = ~attended if hidden is None else hidden | ~attended
        # A series without any observed patch attends to all of them: attention over nothing is undefined.
        attended = attended | ~attended.any(dim=-1, keepdim=True)
        patches = normalised.unflatten(-1, (-1, self.patch_length))  # [B, C, N, P]
        tokens = self.patch_embedding(patches.to(self.patch_embedding.value_embedding.weight.dtype), hidden)
        if skip_empty and self.prefix is None and not torch.compiler.is_compiling():
            first = int(attended.flatten(0, 1).any(dim=0).int().argmax())
            tokens, attended = tokens[..., first:, :], attended[..., first:]
        tokens = functional.dropout(tokens, self.encoder.dropout.p, self.patch_embedding.training)
        tokens, done = (tokens, 0) if self.prefix is None else self.prefix(tokens, attended)
        tokens = self.run_blocks(tokens, attended, done)
        return self.encoder.dropout(self.encoder.final_layer_norm(tokens))

    def _align(self, values: Tensor, input_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return values and observed steps [B, C, N P] as float32 and bool, padded left to whole patches."""
        observed = torch.ones_like(values, dtype=torch.bool) if input_mask is None else input_mask.bool()
        observed = per_channel(observed, values) & ~values.isnan()
        padding = -values.shape[-1] % self.patch_length
        return functional.pad(values.float(), (padding, 0), value=torch.nan), functional.pad(observed, (padding, 0))

    def _patch_view(self, observed: Tensor) -> Tensor:
        """Return which patches [B, C, N] count as observed, given steps [B, C, N P]."""
        steps = observed.unflatten(-1, (-1, self.patch_length))
        return steps.any(dim=-1) if self.config.partial_patches == "fill" else steps.all(dim=-1)


def sinusoidal_positions(num_patches: int, width: int, device: torch.device) -> Tensor:
    """Return sine and cosine position codes [N, D] (Vaswani et al. 2017, section 3.5)."""
    frequencies = torch.exp(torch.arange(0, width, 2, device=device).float() * -(math.log(10000.0) / width))
    angles = torch.arange(num_patches, device=device).float().unsqueeze(1) * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


@register_family("moment")
def load_moment(folder: Path, config: JsonObject) -> Moment:
    """Build a `Moment` from a folder with model.safetensors.

    Raises:
        InputError: weights missing, damaged, or of another geometry than config.json says.
    """
    path = folder / "model.safetensors"
    state = {
        _module_key(key): tensor.to(torch.float32)
        for key, tensor in read_weights(path).items()
        if key not in _UNUSED_KEYS
    }
    geometry = MomentConfig.from_dict(config)
    misfit = f"The weights in {path} do not fit {folder / 'config.json'}"
    blocks = {key.split(".")[2] for key in state if key.startswith("encoder.block.")}
    if len(blocks) != geometry.t5.num_layers:
        raise InputError(f"{misfit}: they have {len(blocks)} blocks, num_layers is {geometry.t5.num_layers}.")
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced at once
        model = Moment(geometry)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise InputError(f"{misfit}: {error}") from error
    return model.eval()


def _t5_encoder(config: MomentConfig) -> T5Stack:
    try:
        t5_config = T5Config(
            **asdict(config.t5),
            is_decoder=False,
            is_encoder_decoder=False,
            use_cache=False,
            vocab_size=1,
            eos_token_id=None,
            pad_token_id=None,
            decoder_start_token_id=None,
        )
        t5_config._attn_implementation = "sdpa"
        if t5_config.dense_act_fn == "gelu_new":
            t5_config.dense_act_fn = "gelu_pytorch_tanh"  # the same function in one kernel instead of eight
        encoder = T5Stack(t5_config)
    except (KeyError, ValueError) as error:
        raise InputError(f"t5_config in config.json describes no T5 encoder: {error}") from error
    encoder.embed_tokens = nn.Identity()
    return encoder


def _attention_kernels(device: torch.device) -> AbstractContextManager[object]:
    """Choose plain attention inside where the fused one is slow: its backward pass in bfloat16 on the CPU."""
    slow = device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
    return sdpa_kernel(SDPBackend.MATH) if slow and not torch.compiler.is_compiling() else nullcontext()


def _module_key(key: str) -> str:
    return f"reconstruction.{key.removeprefix('head.')}" if key.startswith("head.") else key


def _hub_key(key: str) -> str:
    return f"head.{key.removeprefix('reconstruction.')}" if key.startswith("reconstruction.") else key
