"""Masked reconstruction: hide patches of a series and learn to rebuild them (MOMENT's pretraining task)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import ModelOutput

from tracetune.backbones.moment import Moment
from tracetune.backbones.normalisation import normalise
from tracetune.base.errors import InputError

_LARGEST_TARGET = 10.0  # standard deviations of the visible part


@dataclass(frozen=True)
class MaskingConfig:
    """Rates of masking: a share of the samples loses random patches, the others a suffix.

    Random patches teach interpolation, suffixes of random length teach to forecast without any head.

    Attributes:
        random_share: share of samples with random patches; the rest gets a hidden suffix.
        random_ratio: share of patches hidden at random (MOMENT: 0.3).
        longest_suffix: longest hidden suffix, as a share of the patches.
        short_share: share of samples that are short series: what lies before a random step is unobserved, and the other
            numbers are shares of what is left.
    """

    random_share: float = 0.5
    random_ratio: float = 0.3
    longest_suffix: float = 0.5
    short_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("random_share", "random_ratio", "longest_suffix", "short_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"Expected {name} between 0 and 1, found {value}.")


@dataclass
class ReconstructionOutput(ModelOutput):
    """``loss`` is the mean over hidden patches, ``sample_losses`` [B] the same per sample."""

    loss: Tensor | None = None
    sample_losses: Tensor | None = None


def draw_observed(
    batch: int, length: int, patch_length: int, config: MaskingConfig, generator: torch.Generator | None
) -> Tensor:
    """Return which steps are observed, [B, 1, T] bool: all, or for short series the last ones, two patches at least."""
    if not config.short_share:  # nothing is drawn, so that the masks stay those of runs without short series
        return torch.ones(batch, 1, length, dtype=torch.bool)
    start = torch.randint(0, length - 2 * patch_length + 1, (batch, 1), generator=generator)
    is_short = torch.rand(batch, 1, generator=generator) < config.short_share
    return (torch.arange(length).expand(batch, -1) >= torch.where(is_short, start, 0)).unsqueeze(1)


def draw_patch_mask(
    batch: int,
    num_patches: int,
    config: MaskingConfig,
    generator: torch.Generator | None,
    present: Tensor | None = None,
) -> Tensor:
    """Return patches to hide, [B, 1, N] bool; every sample hides at least one patch and shows at least one.

    Args:
        batch: B.
        num_patches: N.
        config: how many to hide.
        generator: source of random numbers; None for the global one.
        present: [B] or [B, 1] number of last patches that hold observed steps, two at least; None for all N.
    """
    present = torch.full((batch, 1), num_patches) if present is None else present.view(batch, 1)
    absent = torch.arange(num_patches).expand(batch, -1) < num_patches - present
    hidden_random = (config.random_ratio * present).round().clamp(min=1)
    ranks = (torch.rand(batch, num_patches, generator=generator) + absent).argsort(dim=1).argsort(dim=1)
    longest = min(max(1, round(config.longest_suffix * num_patches)), num_patches - 1)
    suffix = torch.randint(1, longest + 1, (batch, 1), generator=generator)
    longest_of_row = torch.minimum((config.longest_suffix * present).round().clamp(min=1), present - 1)
    suffix = (suffix * longest_of_row / longest).ceil()
    is_random = torch.rand(batch, 1, generator=generator) < config.random_share
    in_suffix = torch.arange(num_patches).expand(batch, -1) >= num_patches - suffix
    return torch.where(is_random, ranks < hidden_random, in_suffix).unsqueeze(1)


class MaskedReconstruction(nn.Module):
    """A MOMENT backbone with its pretraining loss.

    The loss is Huber's on normalised values of hidden patches: squared near zero as MSE, linear beyond
    ``huber_delta`` standard deviations, so that unforecastable jumps do not rule the gradient.
    In evaluation mode the masks come from a fixed seed, so that losses can be compared between steps.
    """

    def __init__(self, backbone: Moment, masking: MaskingConfig, huber_delta: float = 2.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.masking = masking
        self.huber_delta = huber_delta

    def forward(self, values: Tensor) -> ReconstructionOutput:
        """Return the loss of rebuilding the hidden patches of values [B, 1, T], T a multiple of the patch length."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        patch_length = self.backbone.patch_length
        size, num_patches = len(values), values.shape[-1] // patch_length
        observed = draw_observed(size, values.shape[-1], patch_length, self.masking, generator)
        present = observed.unflatten(-1, (-1, patch_length)).any(-1).sum(-1)
        patch_mask = draw_patch_mask(size, num_patches, self.masking, generator, present).to(values.device)
        observed = observed.to(values.device)
        tokens, _ = self.backbone.encode(values, observed, patch_mask)
        predicted = self.backbone.reconstruction(tokens).float()
        hidden = patch_mask.repeat_interleave(patch_length, dim=-1)
        target, _ = normalise(values, observed & ~hidden)
        hidden = hidden & observed
        # A level shift after a flat visible part would be thousands of its deviations away.
        target = target.clamp(-_LARGEST_TARGET, _LARGEST_TARGET)
        errors = functional.huber_loss(predicted, target, reduction="none", delta=self.huber_delta)
        sample_losses = (errors * hidden).sum(dim=(1, 2)) / hidden.sum(dim=(1, 2))
        return ReconstructionOutput(loss=sample_losses.mean(), sample_losses=sample_losses)
