import numpy as np
import pytest
import torch
from torch import Tensor

from tests.selection.scores.games import product, quadratic, quadratic_importance
from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.validation import model_loss, undisturbed


def test_a_quadratic_loss_has_its_shapley_values_without_any_masks() -> None:
    result = score_modules(game(5, quadratic), ones(16, 2), method="diagonal")
    np.testing.assert_allclose(result.scores, quadratic_importance(0.5), atol=1e-6)
    np.testing.assert_allclose(score_modules(game(4, product), ones(8), method="diagonal").scores[3], 0.3, atol=1e-6)


def test_two_points_are_exact_up_to_degree_four_and_three_up_to_six() -> None:
    def fifth(gates: Tensor) -> Tensor:
        return -(gates[:, 0] ** 2) * gates[:, 1] ** 3

    model = game(2, fifth)  # integral of 2 t^4 and of 3 t^4
    np.testing.assert_allclose(score_modules(model, ones(8), method="diagonal", points=3).scores, [0.4, 0.6], atol=1e-6)
    assert abs(score_modules(model, ones(8), method="diagonal").scores[0] - 0.4) > 0.01
    fourth = game(2, lambda gates: -(gates[:, 0] ** 2) * gates[:, 1] ** 2)
    np.testing.assert_allclose(score_modules(fourth, ones(8), method="diagonal").scores, [0.5, 0.5], atol=1e-6)


def test_values_add_up_to_what_all_modules_together_save() -> None:
    model, batches = lora_forecaster(), forecast_batches((6, 2))
    result = score_modules(model, batches, method="diagonal", points=8)
    gates = Gates(model)
    with undisturbed(model), torch.no_grad():
        losses = []
        for value in (0.0, 1.0):
            with gates.apply(torch.full((gates.M,), value)):
                losses.append(float(torch.cat([model_loss(model, batch) for batch in batches]).mean()))
    assert result.scores.sum() == pytest.approx(losses[0] - losses[1], abs=1e-5)
    assert result.forward_equivalents == 2 + 2 * 8 * 3
    assert result.samples == 8
    assert result.standard_errors is not None
    assert (result.standard_errors > 0).all()


def test_a_mean_loss_is_enough_and_points_are_counted() -> None:
    model, batches = lora_forecaster(), forecast_batches((6, 6))
    means = score_modules(model, batches, lambda model, batch: model(**batch)["loss"], method="diagonal")
    np.testing.assert_allclose(means.scores, score_modules(model, batches, method="diagonal").scores, atol=1e-6)
    with pytest.raises(InputError, match="points of at least 1, found 0"):
        score_modules(model, batches, method="diagonal", points=0)
