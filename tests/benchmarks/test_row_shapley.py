import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.row_shapley import agreement, row_shapley
from benchmarks.score_variants import VARIANTS

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.selection.gates import Gates
from tracetune.selection.scores.shapley import exact_shapley, subset_loss
from tracetune.selection.validation import model_loss


def test_values_are_the_exact_ones_within_their_errors(tmp_path: Path) -> None:
    gates, batches = Gates(lora_forecaster()), forecast_batches((6, 5))
    exact = exact_shapley(subset_loss(gates, batches, model_loss), gates.M, progress=False)
    result = row_shapley(gates, batches, model_loss, state_file=tmp_path / "s.json", least_pairs=40, most_pairs=40)
    assert (np.abs(result.values - exact.values) < 4 * result.standard_errors + 1e-6).all()
    assert result.standard_errors.max() < 0.05 * np.abs(exact.values).max()
    subset = subset_loss(gates, batches, model_loss)
    total = subset(np.zeros(4, dtype=bool)) - subset(np.ones(4, dtype=bool))
    assert result.values.sum() == pytest.approx(total, abs=1e-6)
    assert result.passes == 2 + 40 * 6


def test_reversed_orders_make_quadratic_games_exact_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    linear, curved = rng.normal(size=5), rng.normal(size=(5, 5))
    gates = Gates(game(5, lambda g: g @ tensor(linear) + ((g @ tensor(curved)) * g).sum(dim=1)))
    exact = exact_shapley(subset_loss(gates, ones(4), model_loss), 5, progress=False).values
    result = row_shapley(gates, ones(4), model_loss, state_file=tmp_path / "s.json", least_pairs=2, most_pairs=2)
    np.testing.assert_allclose(result.values, exact, atol=1e-5)


def test_it_goes_on_from_its_file_and_stops_when_the_halves_agree(tmp_path: Path) -> None:
    gates, batches, path = Gates(lora_forecaster()), forecast_batches((6, 5)), tmp_path / "s.json"
    whole = row_shapley(gates, batches, model_loss, state_file=tmp_path / "w.json", least_pairs=6, most_pairs=6)
    assert row_shapley(gates, batches, model_loss, state_file=path, least_pairs=2, most_pairs=2).pairs == 2
    resumed = row_shapley(gates, batches, model_loss, state_file=path, least_pairs=6, most_pairs=6)
    assert np.array_equal(resumed.values, whole.values)
    early = row_shapley(gates, batches, model_loss, state_file=tmp_path / "e.json", split_half=-1.0)
    assert early.pairs == 4
    gains = json.loads(path.read_text())
    assert resumed.split_half == agreement(gains) <= 1


def test_complementary_masks_are_exact_for_quadratic_games() -> None:
    rng = np.random.default_rng(1)
    linear, curved = rng.normal(size=5), np.triu(rng.normal(size=(5, 5)), 1)
    gates = Gates(game(5, lambda g: g @ tensor(linear) + ((g @ tensor(curved)) * g).sum(dim=1)))
    exact = exact_shapley(subset_loss(gates, ones(4), model_loss), 5, progress=False).values
    np.testing.assert_allclose(
        VARIANTS["two passes, complementary masks"](gates, ones(4, 2), model_loss).values, exact, atol=1e-5
    )


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
