from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from tracetune.base.errors import InputError
from tracetune.heads.build import build_head
from tracetune.heads.config import HeadConfig
from tracetune.heads.solvers import ridge
from tracetune.heads.solvers.ridge import PENALTIES, fit_ridge, leading_directions

N, D, H = 3, 4, 2


class Batches:
    """Rows of tensors, five at a time, any number of times."""

    def __init__(self, rows: dict[str, torch.Tensor]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        size = len(self.rows["tokens"])
        for start in range(0, size, 5):
            yield {name: tensor[start : start + 5] for name, tensor in self.rows.items()}


def samples(count: int, seed: int, noise: float = 0.3, rank: int | None = None) -> dict[str, torch.Tensor]:
    """Tokens, and futures that a linear probe of rank ``rank`` per token explains up to noise."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.Generator().manual_seed(99)
    down = torch.randn(D, rank or D, generator=truth)
    weights = torch.einsum("dr,nrh->ndh", down, torch.randn(N, rank or D, H, generator=truth))
    tokens = torch.randn(count, 1, N, D, generator=generator)
    scale = torch.rand(count, 1, 1, generator=generator) + 0.5
    location = torch.randn(count, 1, 1, generator=generator)
    normalised = torch.einsum("bcnd,ndh->bch", tokens, weights) + 0.7
    future = normalised * scale + location + noise * torch.randn(count, 1, H, generator=generator)
    mask = torch.ones(count, 1, H)
    return {"tokens": tokens, "location": location, "scale": scale, "future_values": future, "future_mask": mask}


def loss(head: torch.nn.Module, rows: dict[str, torch.Tensor]) -> float:
    with torch.no_grad():
        forecast = head(rows["tokens"]) * rows["scale"] + rows["location"]
    return float((forecast - rows["future_values"]).square().mean())


def new_head(kind: str, beta: int = 1) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_head(HeadConfig(kind, beta), N, D, H).eval()


def test_the_linear_probe_equals_scikit_learns_ridge_with_sample_weights():
    train, validation = samples(40, 1), samples(20, 2)
    head = new_head("flatten")
    fit = fit_ridge(head, Batches(train), Batches(validation))

    features = train["tokens"].flatten(1).double().numpy()
    weights = train["scale"].flatten().double().numpy() ** 2
    target = ((train["future_values"] - train["location"]) / train["scale"])[:, 0].double().numpy()
    unit = float(np.mean(np.sum(weights[:, None] * features**2, axis=0)))
    reference = Ridge(alpha=fit.penalty * unit).fit(features, target, sample_weight=weights)
    np.testing.assert_allclose(head.output.weight.detach().numpy(), reference.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.output.bias.detach().numpy(), reference.intercept_, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "beta"), [("flatten", 1), ("projection", 2), ("convolution", 2), ("pooling", 2)])
def test_the_loss_it_reports_is_the_loss_of_the_head(kind: str, beta: int):
    head, validation = new_head(kind, beta), samples(17, 2)
    fit = fit_ridge(head, Batches(samples(60, 1)), Batches(validation))
    assert fit.validation_loss == pytest.approx(loss(head, validation), rel=1e-4)
    assert fit.validation_loss == min(fit.losses)
    assert fit.penalty in PENALTIES


def test_a_projection_finds_the_directions_of_a_low_rank_solution():
    train, validation = samples(400, 1, noise=0.0, rank=2), samples(50, 2, noise=0.0, rank=2)
    head = new_head("projection", 2)
    assert fit_ridge(head, Batches(train), Batches(validation)).validation_loss < 1e-5
    torch.testing.assert_close(head.down.weight @ head.down.weight.T, torch.eye(2), atol=1e-5, rtol=0)


def test_leading_directions_are_the_best_of_a_small_brute_force_search():
    generator = torch.Generator().manual_seed(3)
    mix = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    covariance = mix @ mix.T
    solution = torch.randn(1, 2, 3, generator=generator, dtype=torch.float64)

    def lost(direction: torch.Tensor) -> float:
        """Forecast variance that one feature u^T x leaves unexplained: W^T (S - S u u^T S / u^T S u) W."""
        explained = covariance @ direction
        rest = covariance - torch.outer(explained, explained) / (direction @ explained)
        return float(torch.einsum("dh,de,eh->", solution[0], rest, solution[0]))

    angles = torch.linspace(0, torch.pi, 2001, dtype=torch.float64)
    best = min(lost(torch.stack([angle.cos(), angle.sin()])) for angle in angles)
    assert lost(leading_directions(solution, covariance, 1)[0]) == pytest.approx(best, rel=1e-4, abs=1e-9)


def test_principal_components_stand_in_where_the_probe_is_too_large(monkeypatch: pytest.MonkeyPatch):
    train, validation = samples(60, 1), samples(20, 2)
    monkeypatch.setattr(ridge, "_LARGEST_GRAM", N * D - 1)
    head = new_head("projection", 2)
    before = head.down.weight.clone()
    fit = fit_ridge(head, Batches(train), Batches(validation))
    assert fit.validation_loss == pytest.approx(loss(head, validation), rel=1e-4)
    assert not torch.allclose(head.down.weight, before)
    with pytest.raises(InputError, match="at most 11 features, found 12"):
        fit_ridge(new_head("flatten"), Batches(train), Batches(validation))


def test_rows_with_missing_targets_are_left_out():
    train, validation = samples(40, 1), samples(20, 2)
    gaps = {name: tensor.clone() for name, tensor in train.items()}
    gaps["future_mask"][::3, 0, 1] = 0
    gaps["future_values"][::3, 0, 1] = 1e6
    whole = {name: tensor[torch.arange(40) % 3 != 0] for name, tensor in train.items()}
    with_gaps, without = new_head("flatten"), new_head("flatten")
    fit_ridge(with_gaps, Batches(gaps), Batches(validation))
    fit_ridge(without, Batches(whole), Batches(validation))
    torch.testing.assert_close(with_gaps.output.weight, without.output.weight)


def test_nothing_to_learn_from_is_refused():
    rows = samples(10, 1)
    unseen = {**rows, "future_mask": torch.zeros(10, 1, H)}
    with pytest.raises(InputError, match="all targets observed"):
        fit_ridge(new_head("flatten"), Batches(unseen), Batches(rows))
    empty = {name: tensor[:0] for name, tensor in rows.items()}
    with pytest.raises(InputError, match="training window"):
        fit_ridge(new_head("flatten"), Batches(empty), Batches(rows))


@pytest.mark.parametrize(("kind", "beta"), [("flatten", 1), ("projection", 2), ("convolution", 2)])
def test_a_fit_around_present_weights_shrinks_towards_them(kind: str, beta: int, monkeypatch: pytest.MonkeyPatch):
    head, validation = new_head(kind, beta), samples(20, 2)
    with torch.no_grad():
        before = head(validation["tokens"]).clone()
    monkeypatch.setattr(ridge, "PENALTIES", (1e12,))
    fit_ridge(head, Batches(samples(40, 1)), Batches(validation), kept_directions=D // beta)
    with torch.no_grad():
        after = head(validation["tokens"])
    # the bias is not penalised: what changes is the same for all windows
    assert (after - before).std(0).max() < 1e-4


def test_a_fit_around_a_good_solution_needs_fewer_rows_than_one_around_nothing():
    good = new_head("flatten")
    fit_ridge(good, Batches(samples(500, 1)), Batches(samples(50, 2)))
    few, test = samples(6, 3, noise=1.0), samples(200, 4)
    from_nothing, from_good = new_head("flatten"), new_head("flatten")
    from_good.load_state_dict(good.state_dict())
    fit_ridge(from_nothing, Batches(few), Batches(samples(50, 2)))
    fit_ridge(from_good, Batches(few), Batches(samples(50, 2)), kept_directions=0)
    assert loss(from_good, test) < 0.8 * loss(from_nothing, test)


def test_kept_directions_stay_and_the_others_are_fitted():
    head = new_head("projection", 2)
    before = head.down.weight.clone()
    fit = fit_ridge(head, Batches(samples(400, 1)), Batches(samples(50, 2)), kept_directions=1)
    assert torch.equal(head.down.weight[0], before[0])
    assert not torch.allclose(head.down.weight[1], before[1])
    assert fit.validation_loss == pytest.approx(loss(head, samples(50, 2)), rel=1e-4)
