"""A head for imputation: how much of each way to fill a gap, by length of the gap, distance to its ends, and channel.

A fill is the straight line over the gap plus a weighted sum of F + M terms, which say by how much other fills depart
from the line: F of the channel itself, M of related channels. Weights of the first are shared by all channels, for
each class of gap length and of distance to observed steps; on top of them each channel has its own F + M, for each
class of gap length. All are least squares, so that they are solved without gradient descent.

Shapes: B batch, C channels, T steps, F own terms, M related channels, L classes of length, E classes of distance.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError

Batch = Mapping[str, Tensor]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_SHARES = (1.0, 0.5, 0.25)  # of the way from the start to a solution
_FEW = 50  # hidden steps of a class in training; below that it keeps its start


@dataclass(frozen=True)
class ImputationHeadConfig:
    """Configuration of an imputation head.

    Attributes:
        related: M, how many other channels each channel is filled from; the most correlated ones are taken.
    """

    related: int = 4

    def __post_init__(self) -> None:
        if self.related < 0:
            raise InputError(f"Expected related of at least 0 channels, found {self.related}.")


class ImputationHead(nn.Module):
    """Weights of the terms of a fill.

    Args:
        start: [L, E, F], the shared weights to begin with.
        channels: C.
        related: M.
    """

    def __init__(self, start: Tensor, channels: int, related: int) -> None:
        super().__init__()
        classes, _, terms = start.shape
        self.shared = nn.Parameter(start.clone())
        self.by_channel = nn.Parameter(torch.zeros(channels, classes, terms + related))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what is added to the straight line, [B, C, T], from tokens [B, C, T, F + M + 2].

        The last two entries of a token are the classes of gap length and of distance.
        """
        terms, lengths, distances = split_tokens(tokens)
        shared = terms.shape[-1] - (self.by_channel.shape[-1] - self.shared.shape[-1])
        channel = torch.arange(tokens.shape[1], device=tokens.device)[:, None]
        added = (terms[..., :shared] * self.shared[lengths, distances]).sum(-1)
        return added + (terms * self.by_channel[channel, lengths]).sum(-1)


def split_tokens(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return terms [..., F + M], classes of gap length [...] and of distance [...]."""
    return tokens[..., :-2], tokens[..., -2].long(), tokens[..., -1].long()


def solve_imputation(head: ImputationHead, train: Iterable[Batch], validation: Iterable[Batch]) -> None:
    """Set the weights of a head by least squares, class by class, the penalty of each class by validation.

    First the shared weights, shrunk towards those the head has; then those by channel, on what is left, shrunk towards
    0. Each solution is also tried at half and a quarter of the way from the start. A class keeps its start where
    nothing is better on validation, so that it fills no worse than before. Among the choices for shared weights are the
    straight line (all 0) and every single term.

    Args:
        head: changed in place.
        train: batches with ``tokens`` [B, C, T, F + M + 2], ``line``, ``target_values`` and ``target_mask`` [B, C, T].
        validation: of the same form.

    Raises:
        InputError: no hidden step to learn from.
    """
    classes, nearness, shared = head.shared.shape
    terms = head.by_channel.shape[-1]

    def of_shared(rows: _Rows) -> tuple[Tensor, Tensor]:
        return rows.terms[:, :shared], rows.lengths * nearness + rows.distances

    def of_channel(rows: _Rows) -> tuple[Tensor, Tensor]:
        return rows.terms, rows.channels * classes + rows.lengths

    singles = [torch.zeros(shared), *torch.eye(shared)]
    head.by_channel.data.zero_()
    chosen = _solve(head, of_shared, head.shared.data.reshape(-1, shared), train, validation, singles)
    head.shared.data.copy_(chosen.view_as(head.shared))
    chosen = _solve(head, of_channel, head.by_channel.data.reshape(-1, terms), train, validation, [])
    head.by_channel.data.copy_(chosen.view_as(head.by_channel))


@dataclass(frozen=True)
class _Rows:
    """Hidden steps of a batch: their terms [R, F + M], classes and channels [R], and what is still missing [R]."""

    terms: Tensor
    lengths: Tensor
    distances: Tensor
    channels: Tensor
    missing: Tensor


@torch.no_grad()
def _rows(head: ImputationHead, batch: Batch) -> _Rows:
    tokens, hidden = batch["tokens"].float(), batch["target_mask"] > 0
    terms, lengths, distances = split_tokens(tokens[hidden])
    missing = batch["target_values"] - batch["line"] - head(tokens)
    return _Rows(terms.double(), lengths, distances, hidden.nonzero()[:, 1], missing[hidden].double())


def _solve(
    head: ImputationHead,
    equations: Callable[[_Rows], tuple[Tensor, Tensor]],
    start: Tensor,
    train: Iterable[Batch],
    validation: Iterable[Batch],
    singles: list[Tensor],
) -> Tensor:
    """Return the weights [classes, terms] that are best on validation, class by class; ``start`` is what there is."""
    size, terms = start.shape
    around = start.double()
    gram = torch.zeros(size, terms, terms, dtype=torch.float64, device=start.device)
    cross, count = torch.zeros_like(around), torch.zeros(size, dtype=torch.float64, device=start.device)
    for batch in train:
        rows = _rows(head, batch)
        x, place = equations(rows)
        gram.index_add_(0, place, x.unsqueeze(-1) * x.unsqueeze(-2))
        cross.index_add_(0, place, x * rows.missing.unsqueeze(-1))
        count.index_add_(0, place, torch.ones_like(rows.missing))
    if not count.sum():
        raise InputError("Expected training windows with observed steps to hide, found none.")
    unit = gram.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)[:, None, None] * torch.eye(terms).to(gram)
    solved = [torch.linalg.solve(gram + penalty * unit, cross) for penalty in PENALTIES]
    steps = [share * step for step in solved for share in _SHARES]
    steps += [single.to(around) - around for single in singles]
    choices = torch.stack([torch.zeros_like(around), *steps])  # what is added to the start, [choices, classes, terms]
    choices[:, count < _FEW] = 0
    errors = torch.zeros(choices.shape[:2], dtype=torch.float64, device=start.device)
    for batch in validation:
        rows = _rows(head, batch)
        x, place = equations(rows)
        for choice, weights in enumerate(choices):
            errors[choice].index_add_(0, place, (rows.missing - (x * weights[place]).sum(-1)).square())
    best = errors.argmin(dim=0)
    return (around + choices[best, torch.arange(size, device=best.device)]).to(start)
