import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.scores.gated_dsic import average_ends, draw_masks, rows_independent
from tracetune.selection.validation import model_loss

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


def test_balanced_masks_cancel_what_is_linear_in_the_other_gates() -> None:
    """Every module is open in half of the masks: at q = 1/2 a quadratic loss has no error left, whatever is claimed."""
    result = score_modules(game(5, quadratic), ones(60), keep=0.5)
    np.testing.assert_allclose(result.scores, quadratic_importance(0.5), atol=1e-6)
    assert result.standard_errors is not None
    assert result.standard_errors[:4].min() > 0.01


def test_both_ends_are_exact_for_one_quadratic_gate() -> None:
    def loss(gates: Tensor) -> Tensor:
        return 3.0 * gates[:, 0].square() - 2.0 * gates[:, 0]

    for masks in ("per_sample", "per_batch"):
        result = score_modules(game(1, loss), ones(8), masks=masks, keep=0.25, n_masks=8)
        np.testing.assert_allclose(result.scores, [-1.0], atol=1e-6)  # L(0) - L(1)
        one_end = score_modules(game(1, loss), ones(8), masks=masks, keep=0.25, n_masks=8, both_ends=False)
        np.testing.assert_allclose(one_end.scores, [-(0.25 * 4 + 0.75 * -2)], atol=1e-6)


def test_a_module_never_closed_is_read_open() -> None:
    result = score_modules(game(5, quadratic), ones(50), keep=1.0)
    np.testing.assert_allclose(result.scores, -(LINEAR + CURVED.sum(1)).numpy(), atol=1e-6)


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


def test_masks_per_sample_are_used_only_where_rows_are_independent() -> None:
    model, batch = lora_forecaster(), forecast_batches((6,))[0]

    def centred(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        losses = model(**batch)["sample_losses"]
        return losses - losses.mean()

    gates = Gates(model.eval())
    assert rows_independent(gates, batch, model_loss)
    assert not rows_independent(gates, batch, centred)
    assert not rows_independent(gates, batch, lambda model, batch: model(**batch)["loss"])
    fallen_back = score_modules(model, [batch], centred, n_masks=4)
    assert fallen_back.forward_equivalents == 3 + 4 * 3


def test_rows_that_are_not_samples_are_noticed() -> None:
    """A layer over [N, R, D], time first: N = 6 is even a multiple of B = 6."""

    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"sample_losses": self.mix(x.transpose(0, 1)).square().mean(dim=(0, 2))}

    import peft

    model = peft.get_peft_model(TimeFirst(), peft.LoraConfig(target_modules=["mix"], init_lora_weights=False))
    for steps in (6, 7):
        assert not rows_independent(Gates(model), {"x": torch.randn(6, steps, 3)}, model_loss)


def test_masks_keep_their_probability_and_modules_are_independent() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_masks(3, 7, 0.3, "budget", generator) for _ in range(4000)]).double()
    assert (drawn.sum(2) - 2.1).abs().max() < 1  # two or three of seven
    np.testing.assert_allclose(drawn.mean(dim=(0)), 0.3, atol=0.035)
    flat = drawn.permute(1, 0, 2).flatten(1)
    correlation = np.corrcoef(flat.numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.03
    shares = torch.stack([draw_masks(400, 10, 0.3, "shapley", generator) for _ in range(50)]).double().mean(1)
    np.testing.assert_allclose(shares.sort(dim=1).values.mean(0), np.arange(0.05, 1, 0.1), atol=0.03)


def test_average_ends_by_hand() -> None:
    reads = np.array([[1.0, 3.0, 10.0], [1.0, 2.0, 3.0]])
    opened = np.array([[True, True, False], [True, True, True]])
    means, errors = average_ends(reads, opened)
    np.testing.assert_allclose(means, [6.0, 2.0])
    np.testing.assert_allclose(errors, [np.sqrt(0.25 * (2 / 2 + 2 / 1)), np.sqrt(1 / 3)])
    assert np.isnan(average_ends(reads[:, :1], opened[:, :1])[1]).all()


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
