"""Imputation: filling hidden steps of a series from what is observed around them.

A backbone that rebuilds hidden patches gives a curve over each window: patches without an observed step are hidden from
it, in patches with some the others are filled in linearly. The curve is moved to meet the observed steps, the more so
the nearer they are (the rest of a step lives on for a few steps, then the curve stands by itself). Several grids of
patches, shifted against one another, are averaged: a patch border lies in another place in each.

Shapes: B batch, C channels, T context, P patch length, N patches, D width, F own and M related terms of the head.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracetune.backbones.backbone import Backbone, MaskedBackbone
from tracetune.base.errors import InputError
from tracetune.heads.imputation import ImputationHead, ImputationHeadConfig, solve_imputation, split_tokens
from tracetune.tasks.imputation.gaps import (
    DISTANCE_CLASSES,
    DISTANCE_ENDS,
    LENGTH_CLASSES,
    UNOBSERVED,
    bent,
    cubic,
    gap_classes,
    linear,
    seasonal_median,
)
from tracetune.tasks.task import Features, Output, TaskModel

BACKBONE, LINE, SEASON = "zero-shot", "linear", "seasonal median"
TERMS = ("rebuilt", "rebuilt to the ends", "seasonal median", "seasonal median to the ends", "cubic")
_FADING = 4.0  # steps in which the rest of an observed step falls to 1 / e
_GRIDS = 2  # of patches
_MOST_TOKENS = 32_768  # in one pass where nothing trains


@dataclass
class ImputationOutput(Output):
    """Output of an imputation model.

    Attributes:
        loss: [] mean of ``sample_losses``; None without targets.
        sample_losses: [B] mean squared error of each sample over its hidden steps.
        filled: [B, C, T] a value for every step, as if it were hidden, in the units of the input.
    """

    filled: Tensor | None = None


class ImputationModel(TaskModel):
    """Backbone and imputation head.

    Without a head it fills by ``rule``: what the backbone rebuilds (zero-shot), or without it along a straight line or
    by the seasonal median, which are there to be compared with.

    Args:
        backbone: rebuilds hidden patches.
        head: weights of the terms of a fill; None fills by ``rule``.
        channels: C.
        context_length: T.
        season: steps of one season; 1 where there is none.
        related: channels that each channel is also filled from, M each; () for none.
        rule: "zero-shot", "linear" or "seasonal median".
        name_or_path: where the backbone comes from.
    """

    labels = ("target_values",)

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module | None,
        channels: int,
        context_length: int,
        season: int = 1,
        related: tuple[tuple[int, ...], ...] = (),
        rule: str = BACKBONE,
        name_or_path: str = "",
    ) -> None:
        super().__init__(backbone, head, name_or_path)
        self.channels = channels
        self.context_length = context_length
        self.season = season
        self.related = related
        self.rule = rule

    @property
    def tokens_per_sample(self) -> int:
        """Return the number of tokens C N of a sample, over all grids of patches."""
        return self.channels * int(self.backbone.num_patches(self.context_length)) * _GRIDS

    def forward(  # type: ignore[override]  # batches of imputation have these entries
        self,
        values: Tensor,
        input_mask: Tensor,
        step_mask: Tensor | None = None,
        target_values: Tensor | None = None,
        target_mask: Tensor | None = None,
        period: Tensor | None = None,
    ) -> ImputationOutput:
        """Fill every step, and measure the loss where hidden steps are given.

        Args:
            values: [B, C, T]; what they hold where they are not observed does not matter.
            input_mask: [B, C, T], 1 where observed.
            step_mask: [B, T], 1 where the series has a step, 0 in padding; None for all.
            target_values: [B, C, T], read where ``target_mask`` is 1.
            target_mask: [B, C, T], 1 at hidden steps.
            period: [B]; a head is solved by it, the loss is not changed by it.
        """
        features = self._terms(values, input_mask > 0, step_mask)
        added = self._added(features["tokens"])
        if target_values is None or target_mask is None:
            return ImputationOutput(filled=features["line"] + added)
        return self.loss(added, features | {"target_values": target_values, "target_mask": target_mask})

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return terms of the fill and their classes, [B, C, T, F + M + 2], the straight line, targets and periods."""
        features = self._terms(batch["values"], batch["input_mask"] > 0, batch.get("step_mask"))
        return features | {name: batch[name] for name in ("target_values", "target_mask", "period")}

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> ImputationOutput:
        """Return the losses of what is added to the straight line, [B, C, T]."""
        filled = features["line"] + outputs
        hidden = features["target_mask"]
        errors = torch.where(hidden > 0, filled - features["target_values"], 0.0).square()
        losses = errors.flatten(1).sum(dim=1) / hidden.flatten(1).sum(dim=1).clamp(min=1)
        return ImputationOutput(loss=losses.mean(), sample_losses=losses, filled=filled)

    def rebuild(self, values: Tensor, observed: Tensor, step_mask: Tensor | None = None) -> Tensor:
        """Return the curve [B, C, T] that the backbone makes of what is observed, the mean over grids of patches.

        Where nothing trains, channels without a gap in any window are returned as they are.
        """
        length = values.shape[-1]
        inside = torch.ones_like(observed) if step_mask is None else (step_mask > 0)[:, None].expand_as(observed)
        gappy = (inside & ~observed).any(dim=-1).any(dim=0)  # [C]
        if not self._needs_whole_windows() and not gappy.all():
            curve = torch.where(observed, values, 0.0)
            if gappy.any():
                curve[:, gappy] = self.rebuild(values[:, gappy], observed[:, gappy], step_mask)
            return curve
        patch = self.backbone.token_to_patch.out_features
        spare = -length % patch
        shifts = [spare + patch * number // _GRIDS for number in range(_GRIDS)]
        most = spare + patch
        grids = [(shift, most - shift) for shift in shifts]
        shown, seen, inner = (
            torch.cat([functional.pad(part, grid) for grid in grids], dim=1)
            for part in (torch.where(observed, values, 0.0), observed, inside)
        )
        hidden = ~seen.unflatten(-1, (-1, patch)).any(dim=-1)
        of_steps = hidden.repeat_interleave(patch, dim=-1)
        # A hidden patch of the series counts as there, so that others may attend to it; padding does not.
        curves = self._curves(shown, torch.where(of_steps, inner, seen), hidden)
        parts = curves.chunk(_GRIDS, dim=1)
        return torch.stack([part[..., shift : shift + length] for part, shift in zip(parts, shifts, strict=True)]).mean(
            0
        )

    def _curves(self, values: Tensor, input_mask: Tensor, patch_mask: Tensor) -> Tensor:
        """Return what the backbone makes of windows; without gradients a few channels at a time, to bound memory.

        All windows stay together: selection gives every window of a batch gates of its own.
        """
        channels = values.shape[1] if self._needs_whole_windows() else max(1, _MOST_TOKENS // patch_mask[:, 0].numel())
        curves = []
        parts = (each.split(channels, dim=1) for each in (values, input_mask, patch_mask))
        for part in zip(*parts, strict=True):
            tokens, statistics = self.backbone.encode(*part)
            curves.append(statistics.denormalise(self.backbone.token_to_patch(tokens).flatten(-2).float()))
        return torch.cat(curves, dim=1)

    def _needs_whole_windows(self) -> bool:
        """Return whether gradients are wanted, or frozen blocks are remembered, which are so of whole windows."""
        return torch.is_grad_enabled() or getattr(self.backbone, "prefix", None) is not None

    def _added(self, tokens: Tensor) -> Tensor:
        """Return what is added to the straight line, [B, C, T]."""
        if self.head is not None:
            return self.head(tokens).float()
        terms, lengths, distances = split_tokens(tokens)
        if self.rule == LINE:
            return torch.zeros_like(terms[..., 0])
        if self.rule == SEASON:
            return terms[..., TERMS.index("seasonal median")]
        weights = zero_shot_weights().to(terms)
        return (terms[..., : len(TERMS)] * weights[lengths, distances]).sum(-1)

    def _terms(self, values: Tensor, observed: Tensor, step_mask: Tensor | None) -> dict[str, Tensor]:
        straight = linear(values, observed)
        needed = self.head is not None or self.rule == BACKBONE
        curve = self.rebuild(values, observed, step_mask) if needed else straight
        season = seasonal_median(values, observed, self.season)
        terms = [
            curve - straight,
            bent(curve, observed),
            season - straight,
            bent(season, observed),
            cubic(values, observed) - straight,
        ]
        classes = gap_classes(observed)
        if self.related and self.head is not None:
            weights = zero_shot_weights().to(straight)
            best = straight + (torch.stack(terms, dim=-1) * weights[classes]).sum(-1)
            terms += self._of_related(torch.where(observed, values, best), observed)
        tokens = torch.stack([*terms, *(each.to(straight) for each in classes)], dim=-1)
        return {"tokens": tokens, "line": straight}

    def _of_related(self, values: Tensor, observed: Tensor) -> Iterator[Tensor]:
        """Yield how far related channels depart from the straight line over the same gap, [B, C, T] each.

        Of a channel without any observed step it is the whole value.
        """
        for place in range(len(self.related[0])):
            others = values[:, [channels[place] for channels in self.related]]
            yield bent(others, observed)


def zero_shot_weights() -> Tensor:
    """Return weights [L, E, F] of the terms with which the backbone fills by itself.

    The curve is moved to meet observed steps by a share that fades with the distance d to them: exp(-(d - 1) / 4).
    """
    nearest = torch.tensor([1, *(end + 1 for end in DISTANCE_ENDS)], dtype=torch.float32)
    share = torch.exp(-(nearest - 1) / _FADING)
    weights = torch.zeros(LENGTH_CLASSES, DISTANCE_CLASSES, len(TERMS))
    weights[..., 0], weights[..., 1] = 1 - share, share
    weights[UNOBSERVED] = 0
    return weights


@dataclass(frozen=True)
class Imputation:
    """The task of filling hidden steps.

    Attributes:
        channels: C.
        context_length: T.
        season: steps of one season; 1 where there is none.
        related: other channels that each channel is also filled from, M each; () for none.
        name_or_path: where the backbone comes from.
    """

    channels: int
    context_length: int
    season: int = 1
    related: tuple[tuple[int, ...], ...] = ()
    name_or_path: str = ""
    name: ClassVar[str] = "imputation"

    @property
    def default_head(self) -> ImputationHeadConfig:
        """Return a head with as many related channels as there are."""
        return ImputationHeadConfig(len(self.related[0]) if self.related else 0)

    def model(self, backbone: Backbone, head: ImputationHeadConfig) -> ImputationModel:
        """Put a new head on a backbone; it starts as zero-shot."""
        if not isinstance(head, ImputationHeadConfig):
            raise InputError(f"Expected an ImputationHeadConfig as head of an imputer, found {head!r}.")
        require_rebuilds(backbone)
        module = ImputationHead(zero_shot_weights(), self.channels, len(self.related[0]) if self.related else 0)
        return self._model(backbone, module)

    def filling_by(self, backbone: Backbone, rule: str) -> ImputationModel:
        """Return a model without a head that fills by a rule: "zero-shot", "linear" or "seasonal median"."""
        require_rebuilds(backbone)
        return self._model(backbone, None, rule)

    def zero_shot(self, backbone: Backbone) -> ImputationModel:
        """Return the backbone rebuilding what is hidden."""
        return self.filling_by(backbone, BACKBONE)

    def baselines(self, backbone: Backbone) -> dict[str, TaskModel]:
        """Return the baselines, the simplest first; a model has to be better than these."""
        names = (LINE, SEASON) if 2 <= self.season <= self.context_length // 2 else (LINE,)
        return {name: self.filling_by(backbone, name) for name in names}

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> float:
        """Solve the head by least squares for each class of gaps; returns the validation loss."""
        assert isinstance(model.head, ImputationHead)
        solve_imputation(model.head, train, validation)
        total, samples = 0.0, 0
        with torch.no_grad():
            for batch in validation:
                losses = model.loss(model.head(batch["tokens"].float()), batch).sample_losses
                assert losses is not None, "there are targets"
                total, samples = total + float(losses.sum()), samples + len(losses)
        return total / samples

    def _model(self, backbone: Backbone, head: nn.Module | None, rule: str = BACKBONE) -> ImputationModel:
        return ImputationModel(
            backbone, head, self.channels, self.context_length, self.season, self.related, rule, self.name_or_path
        )


def require_rebuilds(backbone: Backbone) -> None:
    """Refuse a backbone that cannot rebuild hidden patches.

    Raises:
        InputError: it cannot.
    """
    if not isinstance(backbone, MaskedBackbone):
        raise InputError(
            f"Expected a backbone that rebuilds hidden patches, such as tracetune/tiny or MOMENT, found "
            f"{type(backbone).__name__}. Use one of these."
        )
