import numpy as np
import pytest
import torch
from torch import Tensor

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.importance import score_modules

LINEAR = torch.tensor([-1.0, -0.5, 0.25, -0.1, 0.0])
CURVED = torch.tensor(
    [
        [0.6, 0.8, 0.0, 0.1, 0.0],
        [0.8, 0.2, -0.3, 0.0, 0.0],
        [0.0, -0.3, 0.5, 0.4, 0.0],
        [0.1, 0.0, 0.4, -0.2, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def quadratic(gates: Tensor) -> Tensor:
    """Losses c g + g Q g / 2 of gates [B, 5]; the last module does nothing, the third one harms."""
    return gates @ LINEAR + ((gates @ CURVED) * gates).sum(1) / 2


def quadratic_importance(q: float) -> np.ndarray:
    """phi_m = -(c_m + Q_mm / 2 + q * sum of Q_mj over j != m)."""
    own = CURVED.diagonal()
    return -(LINEAR + own / 2 + q * (CURVED.sum(1) - own)).double().numpy()


def product(gates: Tensor) -> Tensor:
    """Multilinear: three modules that only help together, and one that helps alone."""
    return 1 - gates[:, 0] * gates[:, 1] * gates[:, 2] - 0.3 * gates[:, 3]


def close(scores: np.ndarray, errors: np.ndarray, expected: np.ndarray) -> None:
    assert (np.abs(scores - expected) <= 4 * errors + 1e-6).all(), (scores, errors, expected)


@pytest.mark.parametrize("q", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("masks", ["auto", "per_sample", "per_batch"])
def test_budget_context_finds_the_closed_form_of_a_quadratic_loss(q: float, masks: str) -> None:
    model = game(5, quadratic)
    result = score_modules(model, ones(200, 5), keep=q, masks=masks, n_masks=300)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, quadratic_importance(q))
    assert result.standard_errors.max() < 0.03
    assert result.scores[4] == 0


@pytest.mark.parametrize("masks", ["per_sample", "per_batch"])
def test_shapley_context_finds_the_shapley_value(masks: str) -> None:
    result = score_modules(game(5, quadratic), ones(1000), context="shapley", masks=masks, n_masks=400)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, quadratic_importance(0.5))  # the Shapley value of a quadratic game
    result = score_modules(game(4, product), ones(2000), context="shapley", masks=masks, n_masks=600)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, np.array([1 / 3, 1 / 3, 1 / 3, 0.3]))


def test_contexts_are_different_estimands() -> None:
    """The product of three is worth q^2 to each in the budget context: a third in Shapley's."""
    result = score_modules(game(4, product), ones(2000), keep=0.9)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, np.array([0.81, 0.81, 0.81, 0.3]))


def test_standard_errors_have_the_spread_of_estimates_from_other_samples() -> None:
    model = lora_forecaster()
    runs = [score_modules(model, forecast_batches((50,), seed=seed), seed=seed) for seed in range(200)]
    spread = np.std([run.scores for run in runs], axis=0, ddof=1)
    claimed = np.mean([run.standard_errors for run in runs], axis=0)
    np.testing.assert_allclose(claimed, spread, rtol=0.2)


def test_per_sample_and_per_batch_agree_on_a_network() -> None:
    model, batches = lora_forecaster(), forecast_batches((64, 64, 32))
    samples = score_modules(model, batches * 4, masks="per_sample", keep=0.5)
    shared = score_modules(model, batches, masks="per_batch", n_masks=64, keep=0.5, seed=1)
    assert samples.standard_errors is not None
    assert shared.standard_errors is not None
    both = np.hypot(samples.standard_errors, shared.standard_errors)
    assert (np.abs(samples.scores - shared.scores) < 4 * both).all()
    assert samples.samples == 4 * shared.samples == 640
    assert samples.forward_equivalents == 12 * 3
    assert shared.forward_equivalents == 3 * 64 * 3


def test_redundant_modules_are_missed_by_the_open_gradient_and_found_by_dsic() -> None:
    """Either of two modules does the job, a third one does a little: with both open, neither seems to matter."""

    def loss(gates: Tensor) -> Tensor:
        return (1 - gates[:, 0]) * (1 - gates[:, 1]) - 0.1 * gates[:, 2]

    model, batches = game(3, loss), ones(400)
    assert score_modules(model, batches, method="all_open_gradient").ranking()[0] == "players.2"
    assert score_modules(model, batches, method="leave_one_out").ranking()[0] == "players.2"
    dsic = score_modules(model, batches)
    assert dsic.ranking()[2] == "players.2"
    assert dsic.standard_errors is not None
    close(dsic.scores, dsic.standard_errors, np.array([0.5, 0.5, 0.1]))


def test_same_seed_same_scores() -> None:
    model, batches = lora_forecaster(), forecast_batches()
    one, two, other = (score_modules(model, batches, seed=seed).scores for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0.0}, r"share of modules that stays open, in \(0, 1\], found 0\.0"),
        ({"context": "budgets"}, "Did you mean 'budget'"),
        ({"masks": "sample"}, "Unknown masks 'sample'"),
        ({"n_masks": 0}, "n_masks of at least 1"),
        ({"mask": "auto"}, "Unknown option of score 'gated_dsic' 'mask'"),
    ],
)
def test_wrong_options_are_explained(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_modules(game(2, lambda gates: gates.sum(1)), ones(2), **options)


def test_masks_per_sample_need_losses_per_sample() -> None:
    model = game(2, lambda gates: gates.sum(1))
    with pytest.raises(InputError, match=r"loss for each of the 4 samples, found shape \[\]"):
        score_modules(model, ones(4), lambda model, batch: model(**batch)["loss"], masks="per_sample")
    with pytest.raises(InputError, match="depends on the gates"):
        score_modules(model, ones(4), lambda model, batch: model(**batch)["loss"].detach(), masks="per_batch")
