"""Heads in closed form: ridge regression from features to futures, the penalty chosen by validation.

The loss of a forecast is the squared error in units of the data, so a sample with location m and scale s asks for

    s (W x + b) + m = y      hence      W (s x) + b s = y - m

which is ordinary least squares in the features s [x, 1]. With lambda relative to their mean square,

    theta = (G + lambda tr(G) / F * I)^-1 C,      G = sum z z^T,  C = sum z (y - m)^T,  z = s [x, 1]

G and C are summed over batches in float64 (Hoerl & Kennard 1970; the bias is not penalised).

Shapes: B batch, C channels, N patches, D width, D' reduced width, H prediction length, F features of the output layer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tracetune.base.errors import InputError, argument
from tracetune.heads.head import Head
from tracetune.heads.kinds.projection import ProjectionHead

Batch = Mapping[str, Tensor]
PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 7))
_LARGEST_GRAM = 16_384  # features: a Gram matrix of 2 GB


@dataclass(frozen=True)
class RidgeFit:
    """Result of a closed-form fit.

    Attributes:
        penalty: the lambda with the lowest validation loss, relative to the mean square of the features.
        validation_loss: mean squared error of the samples with it, in units of the data.
        losses: validation loss of every penalty in ``PENALTIES``.
    """

    penalty: float
    validation_loss: float
    losses: tuple[float, ...]


def fit_ridge(
    head: Head, train: Iterable[Batch], validation: Iterable[Batch], *, kept_directions: int | None = None
) -> RidgeFit:
    """Set the weights of a head by ridge regression, in one pass over ``train`` and one over ``validation``.

    The output layer of any head is fitted exactly, on whatever its ``reduce`` gives. The projection of a
    `ProjectionHead` is fitted before: the D' directions of the tokens that carry most of the solution of the linear
    probe, see `leading_directions`; or, where the probe's N D features are too many for a Gram matrix, the D' leading
    principal components of the tokens, which takes one more pass over ``train``.

    Args:
        head: changed in place.
        train: batches with ``tokens`` [B, C, N, D], ``location`` and ``scale`` [B, C, 1], ``future_values`` and
            ``future_mask`` [B, C, H]; can be iterated more than once. Rows with a missing target are left out.
        validation: batches of the same form.
        kept_directions: None shrinks the weights towards 0. A number shrinks them towards those that the head has,
            and leaves the first so many rows of its projection as they are; for heads that start as the
            zero-shot forecast, see heads/zero_shot_start.py.

    Raises:
        InputError: an output layer with too many features, or not a single row with all targets.
    """
    if not isinstance(head, ProjectionHead) or kept_directions == head.down.out_features:
        equations = _normal_equations(train, head)
    elif _probe_fits(train):
        equations = _fit_projection(head, train, kept_directions)
    else:
        kept, down = kept_directions or 0, head.down
        down.weight.data[kept:] = _principal_directions(train, down.out_features - kept)
        equations = _normal_equations(train, head)
    solutions = equations.solve(PENALTIES, None if kept_directions is None else _read(head.output))
    losses = _validation_losses(head, solutions, validation)
    best = int(torch.tensor(losses).argmin())
    _write(head.output, solutions[best])
    return RidgeFit(PENALTIES[best], losses[best], tuple(losses))


@dataclass
class NormalEquations:
    """Sums of a least-squares problem with F features and a bias, in float64.

    Attributes:
        gram: [F + 1, F + 1].
        cross: [F + 1, H].
        rows: number of samples summed.
    """

    gram: Tensor
    cross: Tensor
    rows: int = 0

    @classmethod
    def empty(cls, features: int, prediction_length: int, device: torch.device) -> "NormalEquations":
        """Return sums over no samples.

        Raises:
            InputError: more features than a Gram matrix should have.
        """
        if features > _LARGEST_GRAM:
            raise InputError(
                f"A closed-form head takes at most {_LARGEST_GRAM:,} features, found {features:,}. "
                f"Use a compact head with a larger {argument('beta')}, or {argument('head_start', 'gradient')}."
            )
        return cls(
            torch.zeros(features + 1, features + 1, dtype=torch.float64, device=device),
            torch.zeros(features + 1, prediction_length, dtype=torch.float64, device=device),
        )

    def add(self, features: Tensor, batch: Batch) -> None:
        """Add the rows of a batch with features [B, C, F] whose targets are all observed."""
        features, target, observed = _equations(features, batch)
        whole = observed.all(dim=1)
        features, target = features[whole], target[whole]
        self.gram.addmm_(features.T, features)
        self.cross.addmm_(features.T, target)
        self.rows += len(features)

    def solve(self, penalties: Iterable[float], around: Tensor | None = None) -> list[Tensor]:
        """Return weights and bias [F + 1, H] for each penalty, float64, shrunk towards ``around`` (None: towards 0).

        Raises:
            InputError: there are no rows.
        """
        if not self.rows:
            raise InputError("Expected training windows with all targets observed, found none. Fill gaps first.")
        unit = self.gram.diagonal()[:-1].mean().clamp(min=1e-12)
        diagonal = torch.ones_like(self.gram.diagonal())
        diagonal[-1] = 1e-9  # of the bias
        around = torch.zeros_like(self.cross) if around is None else around
        rest = self.cross - self.gram @ around
        return [
            around + torch.cholesky_solve(rest, torch.linalg.cholesky(self.gram + (penalty * unit * diagonal).diag()))
            for penalty in penalties
        ]

    def project(self, down: Tensor, num_patches: int) -> "NormalEquations":
        """Return the same equations after every token went through ``down`` [D', D]."""
        down = down.to(self.gram)
        reduce = torch.block_diag(*[down] * num_patches, down.new_ones(1, 1))  # [N D' + 1, N D + 1]
        return NormalEquations(reduce @ self.gram @ reduce.T, reduce @ self.cross, self.rows)


def leading_directions(solution: Tensor, covariance: Tensor, count: int) -> Tensor:
    """Return the ``count`` directions of a token that carry most of a linear probe's forecast, [D', D], orthonormal.

    With token covariance S and the probe's weights W_n [D, H] per patch, the variance of the forecast is
    sum_n ||S^(1/2) W_n||^2. The span of S^(-1/2) P, P the leading left singular vectors of all S^(1/2) W_n side by
    side, keeps the largest part of it (reduced-rank regression, Izenman 1975, one basis for all patches).

    Args:
        solution: [N, D, H].
        covariance: [D, D].
        count: D'.
    """
    values, vectors = torch.linalg.eigh(covariance)
    roots = values.clamp(min=values.max() * 1e-8).sqrt()
    scaled = torch.einsum("ed,ndh->enh", (vectors * roots) @ vectors.T, solution).flatten(1)  # [D, N H]
    leading = torch.linalg.eigh(scaled @ scaled.T).eigenvectors[:, -count:]
    directions = (vectors / roots) @ vectors.T @ leading
    return torch.linalg.qr(directions).Q.T


def _fit_projection(head: ProjectionHead, train: Iterable[Batch], kept: int | None) -> NormalEquations:
    """Set the projection, but for ``kept`` rows, from the linear probe's solution; returns the equations of the rest.

    With rows to keep, the solution is that for what the head's present weights leave over.
    """
    down = head.down
    num_patches, width = next(iter(train))["tokens"].shape[-2:]
    probe = _normal_equations(train, None)
    present = None if kept is None else _through(down, _read(head.output), num_patches)
    solution = probe.solve([1e-3], present)[0]
    solution = (solution if present is None else solution - present)[:-1].unflatten(0, (num_patches, width))
    blocks = probe.gram[:-1, :-1].unflatten(0, (num_patches, width)).unflatten(2, (num_patches, width))
    covariance = blocks.diagonal(dim1=0, dim2=2).mean(-1)
    down.weight.data[kept or 0 :] = leading_directions(solution, covariance, down.out_features - (kept or 0))
    return probe.project(down.weight.data, num_patches)


def _normal_equations(batches: Iterable[Batch], head: Head | None) -> NormalEquations:
    """Return sums over all batches, for the features of a head's output layer; of the linear probe for None."""
    equations: NormalEquations | None = None
    for batch in batches:
        features = _features(head, batch["tokens"])
        if equations is None:
            equations = NormalEquations.empty(features.shape[-1], batch["future_values"].shape[-1], features.device)
        equations.add(features, batch)
    if equations is None:
        raise InputError("Expected at least one training window, found none.")
    return equations


@torch.no_grad()
def _features(head: Head | None, tokens: Tensor) -> Tensor:
    """Return the input of a head's output layer, [..., F]: all tokens side by side, as the head reduces them."""
    tokens = tokens.float()
    return (tokens if head is None else head.reduce(tokens)).flatten(-2)


def _equations(features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows z [R, F + 1], targets y - m [R, H] and what is observed of them, R = B C."""
    scale = batch["scale"].double()
    rows = torch.cat([features.double(), torch.ones_like(features[..., :1], dtype=torch.float64)], dim=-1) * scale
    target = batch["future_values"].double() - batch["location"].double()
    return rows.flatten(0, -2), target.flatten(0, -2), batch["future_mask"].flatten(0, -2) > 0


def _validation_losses(head: Head, solutions: list[Tensor], validation: Iterable[Batch]) -> list[float]:
    """Return the mean loss of the samples under each solution; a sample's loss is its mean over observed targets."""
    stacked = torch.stack(solutions)  # [K, F + 1, H]
    total, samples = torch.zeros(len(solutions), dtype=torch.float64, device=stacked.device), 0
    for batch in validation:
        rows, target, observed = _equations(_features(head, batch["tokens"]), batch)
        size = len(batch["tokens"])
        errors = (rows @ stacked - target).square() * observed  # [K, R, H]
        counts = observed.unflatten(0, (size, -1)).sum(dim=(1, 2)).clamp(min=1)
        total += (errors.unflatten(1, (size, -1)).sum(dim=(2, 3)) / counts).sum(dim=1)
        samples += size
    if not samples:
        raise InputError("Expected at least one validation window, found none.")
    return (total / samples).tolist()


def _principal_directions(batches: Iterable[Batch], count: int) -> Tensor:
    """Return leading principal components of the tokens, [D', D], patches pooled."""
    second = None
    for batch in batches:
        tokens = (batch["tokens"].double() * batch["scale"].double().unsqueeze(-1)).flatten(0, -2)
        product = tokens.T @ tokens
        second = product if second is None else second + product
    if second is None:
        raise InputError("Expected at least one training window, found none.")
    return torch.linalg.eigh(second).eigenvectors[:, -count:].T


def _probe_fits(batches: Iterable[Batch]) -> bool:
    num_patches, width = next(iter(batches))["tokens"].shape[-2:]
    return num_patches * width <= _LARGEST_GRAM


def _through(down: nn.Linear, weights: Tensor, num_patches: int) -> Tensor:
    """Return weights [N D' + 1, H] on reduced tokens as weights [N D + 1, H] on whole ones."""
    whole = torch.einsum("rd,nrh->ndh", down.weight.data.double(), weights[:-1].unflatten(0, (num_patches, -1)))
    return torch.cat([whole.flatten(0, 1), weights[-1:]])


def _read(layer: nn.Linear) -> Tensor:
    """Return weights and bias [F + 1, H] of a layer, float64."""
    return torch.cat([layer.weight.data.T, layer.bias.data.unsqueeze(0)]).double()


def _write(layer: nn.Linear, solution: Tensor) -> None:
    layer.weight.data.copy_(solution[:-1].T)
    layer.bias.data.copy_(solution[-1])
