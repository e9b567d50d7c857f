import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.scores.shapley import SubsetLoss, exact_shapley, sampled_shapley, subset_loss
from tracetune.selection.validation import mean_loss, model_loss


def table_game(losses: np.ndarray) -> SubsetLoss:
    """A game given by the loss of every subset, [2^M]."""
    powers = 2 ** np.arange(int(np.log2(len(losses))))
    return lambda opened: float(losses[int(opened @ powers)])


def by_all_orders(loss: SubsetLoss, modules: int) -> np.ndarray:
    """Shapley values straight from their definition: the mean gain over all orders."""
    values = np.zeros(modules)
    for order in itertools.permutations(range(modules)):
        opened = np.zeros(modules, dtype=bool)
        for module in order:
            before = loss(opened)
            opened[module] = True
            values[module] += before - loss(opened)
    return values / math.factorial(modules)


tables = st.integers(1, 4).flatmap(lambda m: arrays(float, 2**m, elements=st.floats(-10, 10)))


@settings(max_examples=40)
@given(tables)
def test_exact_values_are_the_mean_gain_over_all_orders(losses: np.ndarray) -> None:
    modules = int(np.log2(len(losses)))
    result = exact_shapley(table_game(losses), modules, progress=False)
    np.testing.assert_allclose(result.values, by_all_orders(table_game(losses), modules), atol=1e-9)
    assert result.evaluations == 2**modules


@settings(max_examples=40)
@given(tables, st.integers(1, 5), st.integers(0, 100))
def test_values_add_up_to_the_loss_of_none_minus_the_loss_of_all(losses: np.ndarray, pairs: int, seed: int) -> None:
    modules, loss = int(np.log2(len(losses))), table_game(losses)
    total = losses[0] - losses[-1]
    assert exact_shapley(loss, modules, progress=False).values.sum() == pytest.approx(total, abs=1e-9)
    sampled = sampled_shapley(loss, modules, pairs, seed=seed, progress=False)
    assert sampled.values.sum() == pytest.approx(total, abs=1e-9)


def test_sampled_values_come_within_their_errors_of_the_exact_ones() -> None:
    losses = np.random.default_rng(0).normal(size=2**6)
    exact = exact_shapley(table_game(losses), 6, progress=False)
    sampled = sampled_shapley(table_game(losses), 6, pairs=400, progress=False)
    assert (np.abs(sampled.values - exact.values) < 4 * sampled.standard_errors).all()
    assert sampled.standard_errors.max() < 0.06
    assert sampled.evaluations == 2 + 400 * 10


def test_reversed_orders_make_quadratic_games_exact_at_once() -> None:
    rng = np.random.default_rng(0)
    linear, curved = rng.normal(size=7), rng.normal(size=(7, 7))

    def loss(opened: np.ndarray) -> float:
        return float(linear @ opened + opened @ curved @ opened)

    exact = exact_shapley(loss, 7, progress=False)
    np.testing.assert_allclose(sampled_shapley(loss, 7, pairs=1, progress=False).values, exact.values, atol=1e-9)
    assert np.isnan(sampled_shapley(loss, 7, pairs=1, progress=False).standard_errors).all()


def test_an_interrupted_sampling_goes_on_to_the_same_values(tmp_path: Path) -> None:
    table = table_game(np.random.default_rng(1).normal(size=2**5))
    whole = sampled_shapley(table, 5, pairs=6, seed=3, progress=False)
    calls = itertools.count()

    def breaks(opened: np.ndarray) -> float:
        if next(calls) == 30:
            raise KeyboardInterrupt
        return table(opened)

    path = tmp_path / "shapley.json"
    with pytest.raises(KeyboardInterrupt):
        sampled_shapley(breaks, 5, pairs=6, seed=3, state_file=path, progress=False)
    done = len(json.loads(path.read_text())["gains"])
    assert 0 < done < 6
    counted = itertools.count()

    def counts(opened: np.ndarray) -> float:
        next(counted)
        return table(opened)

    resumed = sampled_shapley(counts, 5, pairs=6, seed=3, state_file=path, progress=False)
    assert np.array_equal(resumed.values, whole.values)
    assert np.array_equal(resumed.standard_errors, whole.standard_errors)
    assert next(counted) == 2 + (6 - done) * 8
    for arguments in ({"seed": 4}, {"seed": 3, "modules": 4}):
        with pytest.raises(InputError, match="belongs to other Shapley values"):
            sampled_shapley(lambda opened: float(opened.sum()), **{"modules": 5, "state_file": path, **arguments})


def test_the_loss_of_a_subset_is_that_of_the_model_with_it_open() -> None:
    model, batches = lora_forecaster(), forecast_batches((6, 2))
    gates = Gates(model)
    loss = subset_loss(gates, iter(batches), model_loss)
    gates.close(["blocks.0.up", "blocks.1.down"])
    opened = np.array([gates.is_open(name) for name in gates.names])
    assert loss(opened) == pytest.approx(mean_loss(model, batches), abs=1e-7)
    assert gates.closed_names == ("blocks.0.up", "blocks.1.down")


def test_as_an_importance_score_exact_for_few_and_sampled_for_many() -> None:
    model = game(3, lambda gates: 1 - gates[:, 0] * gates[:, 1] * gates[:, 2])
    exact = score_modules(model, ones(2), method="shapley")
    np.testing.assert_allclose(exact.scores, [1 / 3] * 3, atol=1e-6)
    assert exact.forward_equivalents == 8
    sampled = score_modules(model, ones(2), method="shapley", exact_limit=2, pairs=4)
    assert sampled.scores.sum() == pytest.approx(1.0)
    assert sampled.forward_equivalents == 2 + 4 * 4


@pytest.mark.parametrize(("pairs", "subsets"), [(2, 2 + 2 * 14), (19, 256), (18, 2 + 18 * 14)])
def test_values_are_exact_only_where_that_reads_no_more_subsets_than_the_pairs(pairs: int, subsets: int) -> None:
    model = game(8, lambda gates: 1 - gates.sum(1))
    assert score_modules(model, ones(2), method="shapley", pairs=pairs).forward_equivalents == subsets


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(InputError, match="1 to 20 modules, found 21"):
        exact_shapley(lambda opened: 0.0, 21)
    with pytest.raises(InputError, match="1 pair of permutations"):
        sampled_shapley(lambda opened: 0.0, 3, pairs=0)
