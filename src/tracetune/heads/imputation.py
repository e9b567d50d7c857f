"""A head for imputation: weights of several fills, by length of the gap, distance to its ends, and channel.

A fill is the straight line over the gap plus a weighted sum of F + M terms, which say by how much other fills depart
from the line: F of the channel itself, M of related channels. Weights of the first are shared by all channels, for
each class of gap length and of distance to observed steps; on top of them each channel has its own F + M, for each
class of gap length. All are least squares, so that they are solved without gradient descent.

Shapes: B batch, C channels, T steps, F own terms, M related channels, L classes of length, E classes of distance,
S classes of one set of weights, R hidden steps.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError, argument

Batch = Mapping[str, Tensor]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_SHARES = (1.0, 0.5, 0.25)  # of the way from the start to a solution
_FEW = 50  # hidden steps of a class; below that nothing is solved for it in training, or chosen by what was held out


@dataclass(frozen=True)
class ImputationHeadConfig:
    """Configuration of an imputation head.

    Attributes:
        related: M, how many other channels each channel is filled from; the most correlated ones are taken.
    """

    related: int = 4

    def __post_init__(self) -> None:
        if self.related < 0:
            raise InputError(f"Expected {argument('related')} of at least 0 channels, found {self.related}.")


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
    """Set the weights of a head by least squares, class by class.

    First the shared weights, shrunk towards those the head has; then those by channel, on what is left, shrunk towards
    0. Each solution is also tried at half and a quarter of the way from the start, and among the choices for shared
    weights are the straight line (all 0) and every single term.

    What is chosen has for its class the lowest mean error on validation plus mean error on training periods that were
    left out in turn, with those beside them, which share steps with them (blocked cross-validation: Racine 2000,
    Journal of Econometrics 99). Where fewer than 50 steps of a class are held out so, solutions are no choice, and
    what was not solved (the start, the line, single terms) is compared on validation and all training periods. A class
    keeps its start where nothing is better.

    Args:
        head: changed in place.
        train: batches with ``tokens`` [B, C, T, F + M + 2], ``line``, ``target_values`` and ``target_mask`` [B, C, T],
            and ``period`` [B], by time.
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

    singles = torch.cat([torch.zeros(1, shared), torch.eye(shared)])
    head.by_channel.data.zero_()
    chosen = _solve(head, of_shared, head.shared.data.reshape(-1, shared), train, validation, singles)
    head.shared.data.copy_(chosen.view_as(head.shared))
    chosen = _solve(
        head, of_channel, head.by_channel.data.reshape(-1, terms), train, validation, singles.new_zeros(0, terms)
    )
    head.by_channel.data.copy_(chosen.view_as(head.by_channel))


@dataclass(frozen=True)
class _Rows:
    """Hidden steps of a batch: their terms [R, F + M], classes, channels and periods [R], and what is missing [R]."""

    terms: Tensor
    lengths: Tensor
    distances: Tensor
    channels: Tensor
    periods: Tensor
    missing: Tensor


@torch.no_grad()
def _rows(head: ImputationHead, batch: Batch) -> _Rows:
    tokens, hidden = batch["tokens"].float(), batch["target_mask"] > 0
    terms, lengths, distances = split_tokens(tokens[hidden])
    missing = batch["target_values"] - batch["line"] - head(tokens)
    window, channel = hidden.nonzero()[:, :2].T
    return _Rows(terms.double(), lengths, distances, channel, batch["period"][window], missing[hidden].double())


@dataclass(frozen=True)
class _Sums:
    """Sums of hidden steps for least squares, for each of S classes: sums of x x', x y and y y, and how many."""

    gram: Tensor
    cross: Tensor
    square: Tensor
    count: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, place: Tensor, size: int) -> "_Sums":
        """Return the sums of terms [R, F], what they are to make [R], and classes [R]."""
        terms = x.shape[-1]
        return cls(
            x.new_zeros(size, terms, terms).index_add_(0, place, x.unsqueeze(-1) * x.unsqueeze(-2)),
            x.new_zeros(size, terms).index_add_(0, place, x * y.unsqueeze(-1)),
            x.new_zeros(size).index_add_(0, place, y.square()),
            x.new_zeros(size).index_add_(0, place, torch.ones_like(y)),
        )

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.gram + other.gram, self.cross + other.cross, self.square + other.square, self.count + other.count
        )

    def choices(self, unsolved: Tensor) -> Tensor:
        """Return weights to choose from, [choices, S, F]: ``unsolved``, every solution; of few steps they are 0."""
        eye = torch.eye(self.cross.shape[-1]).to(self.gram)
        unit = self.gram.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)[:, None, None] * eye
        solved = [torch.linalg.solve(self.gram + penalty * unit, self.cross) for penalty in PENALTIES]
        steps = [share * step for step in solved for share in _SHARES]
        found = torch.stack(steps)
        found[:, self.count < _FEW] = 0
        return torch.cat([unsolved, found])

    def errors(self, weights: Tensor) -> Tensor:
        """Return the sums of squared errors [choices, S] of weights [choices, S, F]."""
        return self.square + (weights * (torch.einsum("sfg,ksg->ksf", self.gram, weights) - 2 * self.cross)).sum(-1)


def _solve(
    head: ImputationHead,
    equations: Callable[[_Rows], tuple[Tensor, Tensor]],
    start: Tensor,
    train: Iterable[Batch],
    validation: Iterable[Batch],
    singles: Tensor,
) -> Tensor:
    """Return the chosen weights [S, F], class by class; ``start`` is what there is, ``singles`` [n, F] compete too."""
    periods = _sums_by_period(head, equations, train, len(start))
    total = reduce(_Sums.__add__, periods.values()) if periods else None
    if total is None or not total.count.sum():
        raise InputError("Expected training windows with observed steps to hide, found none.")
    around = start.double()
    unsolved = torch.cat([torch.zeros_like(around)[None], singles.to(around)[:, None] - around])
    choices = total.choices(unsolved)
    held_out = [(each, choices) for each in _sums_by_period(head, equations, validation, len(start)).values()]
    left_out = _left_out_in_turn(periods, unsolved)
    on_validation = _mean_errors(held_out, choices)
    errors = on_validation + _mean_errors(left_out, choices)
    of_unsolved = on_validation + _mean_errors([(total, choices)], choices)
    of_unsolved[len(unsolved) :] = torch.inf
    few = sum((each.count for each, _ in held_out + left_out), torch.zeros_like(total.count)) < _FEW
    best = torch.where(few, of_unsolved, errors).argmin(dim=0)
    return (around + choices[best, torch.arange(len(start), device=best.device)]).to(start)


def _left_out_in_turn(periods: Mapping[int, _Sums], unsolved: Tensor) -> list[tuple[_Sums, Tensor]]:
    """Return the sums of each period, and the choices that periods which share no step with it give, if there are."""
    return [
        (left_out, reduce(_Sums.__add__, rest).choices(unsolved))
        for period, left_out in periods.items()
        if (rest := [each for other, each in periods.items() if abs(other - period) > 1])
    ]


def _sums_by_period(
    head: ImputationHead, equations: Callable[[_Rows], tuple[Tensor, Tensor]], batches: Iterable[Batch], size: int
) -> dict[int, _Sums]:
    """Return the sums over the hidden steps of each period."""
    found: dict[int, _Sums] = {}
    for batch in batches:
        rows = _rows(head, batch)
        x, place = equations(rows)
        for period in rows.periods.unique().tolist():
            here = rows.periods == period
            sums = _Sums.of(x[here], rows.missing[here], place[here], size)
            found[period] = found[period] + sums if period in found else sums
    return found


def _mean_errors(parts: list[tuple[_Sums, Tensor]], like: Tensor) -> Tensor:
    """Return the mean squared errors [choices, S] over all parts, each with weights of its own.

    Those of fewer than 50 steps count for less, in proportion, and are 0 without any.
    """
    total, count = like.new_zeros(like.shape[:2]), like.new_zeros(like.shape[1])
    for sums, weights in parts:
        total += sums.errors(weights)
        count += sums.count
    return total / count.clamp(min=_FEW)
