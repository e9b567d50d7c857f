from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import Tensor, nn

from tests.selection.scores.games import product, quadratic, quadratic_importance
from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.importance import score_modules
from tracetune.selection.scores import find_score


def close(scores: np.ndarray, errors: np.ndarray, expected: np.ndarray) -> None:
    assert (np.abs(scores - expected) <= 4 * errors + 1e-6).all(), (scores, errors, expected)


@pytest.mark.parametrize("q", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("masks", ["auto", "per_sample", "per_batch"])
def test_budget_context_finds_the_closed_form_of_a_quadratic_loss(q: float, masks: str) -> None:
    model = game(5, quadratic)
    result = score_modules(model, ones(200, 5), keep=q, masks=masks, n_masks=40)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, quadratic_importance(q))
    assert result.standard_errors.max() < 0.05
    assert abs(result.scores[4]) < 1e-9


@pytest.mark.parametrize("masks", ["per_sample", "per_batch"])
def test_shapley_context_finds_the_shapley_value(masks: str) -> None:
    result = score_modules(game(5, quadratic), ones(1000), context="shapley", masks=masks, n_masks=40)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, quadratic_importance(0.5))  # the Shapley value of a quadratic game
    result = score_modules(game(4, product), ones(2000), context="shapley", masks=masks, n_masks=80)
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
    shared = score_modules(model, batches, masks="per_batch", n_masks=16, keep=0.5, seed=1)
    assert samples.standard_errors is not None
    assert shared.standard_errors is not None
    both = np.hypot(samples.standard_errors, shared.standard_errors)
    assert (np.abs(samples.scores - shared.scores) < 4 * both).all()
    assert samples.samples == 4 * shared.samples == 640
    assert samples.forward_equivalents == 12 * 3
    assert shared.forward_equivalents == 2 + 3 * 16 * 3


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


class OneHelps(nn.Module):
    """Module 0 saves 0.3; every other one costs 0.5, although its gradient at the closed end promises a gain of 1."""

    def __init__(self, modules: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(modules))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        outputs = torch.cat([layer(torch.ones(len(x), 1)) for layer in self.layers], 1)
        harm = (-outputs[:, 1:] + 1.5 * outputs[:, 1:] ** 2).sum(1)
        return {"loss": (50 + x.mean() - 0.3 * outputs[:, 0] + harm).mean()}


@pytest.mark.parametrize("keep", [1 / 20, 0.1, 1.0])
def test_with_the_default_options_a_module_that_only_seems_to_help_is_told_from_one_that_helps(keep: float) -> None:
    """Few masks and a small share of open modules, or all of them open, leave no end unread."""
    options = peft.LoraConfig(r=1, lora_alpha=1, target_modules=[f"layers.{index}" for index in range(20)])
    model = peft.get_peft_model(OneHelps(20), options)
    for name, weight in model.named_parameters():
        weight.data.fill_(1.0 if "lora_" in name else 0.0)
    for seed in range(2):
        result = score_modules(model, [{"x": torch.zeros(64)}], keep=keep, seed=seed)
        np.testing.assert_allclose(result.scores, [0.3] + [-0.5] * 19, atol=1e-5)
        assert result.ranking()[0] == "layers.0"


@pytest.mark.parametrize("keep", [0.05, 0.125, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("masks", ["per_sample", "per_batch"])
@pytest.mark.parametrize("context", ["budget", "shapley"])
def test_additive_modules_are_scored_exactly_by_any_draw(keep: float, masks: str, context: str) -> None:
    def loss(gates: Tensor) -> Tensor:
        return 3.0 * gates[:, 0].square() - 2.0 * gates[:, 0] - gates[:, 1]

    model = game(2, loss)
    for sizes in ((5,), (1, 2)):
        batches = [{"ones": torch.ones(size, 1)} for size in sizes]
        result = score_modules(model, batches, masks=masks, keep=keep, context=context, n_masks=5)
        np.testing.assert_allclose(result.scores, [-1.0, 1.0], atol=1e-5)
        assert result.samples == sum(sizes)


@pytest.mark.parametrize("q", [1 / 5, 1.0])
def test_masks_too_few_for_both_ends_give_the_closed_form_in_the_mean(q: float) -> None:
    model = game(5, quadratic)
    result = score_modules(model, ones(200, 5), keep=q, masks="per_batch", n_masks=4)
    assert result.standard_errors is not None
    close(result.scores, result.standard_errors, quadratic_importance(q))
    few = score_modules(model, ones(7, 60), keep=q, masks="per_sample")
    assert few.standard_errors is not None
    close(few.scores, few.standard_errors, quadratic_importance(q))


def own_curvature(gates: Tensor) -> Tensor:
    """g_0^2 g_1 - 2 g_1^2 g_2 g_3 + g_2 g_3^2: the curvature of three modules depends on which others are open."""
    a, b, c, d = gates.unbind(1)
    return a**2 * b - 2 * b**2 * c * d + c * d**2


@pytest.mark.parametrize("masks", ["per_sample", "per_batch"])
@pytest.mark.parametrize("q", [1 / 4, 1 / 64, 0.5, 0.95, 1.0, None])
def test_curvature_that_depends_on_other_modules_is_scored_right_in_every_setting(q: float | None, masks: str) -> None:
    """phi at share q replaces every other gate by q; its integral over q is the Shapley value."""
    model, options = game(4, own_curvature), {"context": "shapley"} if q is None else {"keep": q}
    result = score_modules(model, ones(64, 24), masks=masks, **options)
    assert result.standard_errors is not None
    values = [-np.array([u, u - 2 * u**2, u - 2 * u**2, u - 2 * u**2]) for u in np.linspace(0, 1, 2001)]
    expected = np.mean(values, axis=0) if q is None else -np.array([q, q - 2 * q**2, q - 2 * q**2, q - 2 * q**2])
    close(result.scores, result.standard_errors, expected)
    assert result.standard_errors.max() < 0.35


def test_what_is_planned_is_what_a_batch_of_the_usual_size_costs() -> None:
    model = game(4, own_curvature)
    for masks in ("per_sample", "per_batch"):
        options: dict[str, Any]
        for options in ({"keep": 0.5}, {"keep": 0.1}, {"keep": 0.01}, {"keep": 1.0}, {"context": "shapley"}):
            found = score_modules(model, ones(64, 8), masks=masks, **options).forward_equivalents
            assert found == 8 * find_score("gated_dsic").passes_per_batch(4, masks=masks, **options)


def test_opposite_masks_cancel_what_modules_do_to_each_other() -> None:
    """At q = 1/2, and for Shapley values, a quadratic loss has no error left, and none is claimed."""
    for options in ({"keep": 0.5}, {"context": "shapley"}, {"context": "shapley", "masks": "per_batch", "n_masks": 4}):
        result = score_modules(game(5, quadratic), ones(64), **options)
        assert result.standard_errors is not None
        expected = quadratic_importance(0.5)
        if options.get("masks") or options.get("context"):
            np.testing.assert_allclose(result.scores, expected, atol=1e-5)
        close(result.scores, result.standard_errors, expected)


def gated_losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """phi is 1 + x for a sample with noise x, which the mean loss hides."""
    gates = torch.cat([layer(batch["ones"]) for layer in model.base_model.model.players], dim=1)
    return 4 - ((1 + batch["noise"]) * gates[:, 0])


@pytest.mark.parametrize("method", [{"method": "diagonal"}, {"masks": "per_batch", "n_masks": 2}, {}])
@pytest.mark.parametrize("sizes", [(64,), (16,) * 4])
def test_errors_include_the_validation_sample(method: dict[str, Any], sizes: tuple[int, ...]) -> None:
    model, covered, claimed, found = game(1, lambda gates: gates[:, 0]), 0, [], []
    seeds = 40
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        batches = [{"ones": torch.ones(n, 1), "noise": torch.randn(n, generator=generator)} for n in sizes]
        loss_fn = gated_losses if not method else lambda model, batch: gated_losses(model, batch).mean()
        result = score_modules(model, batches, loss_fn, **method)
        assert result.standard_errors is not None
        covered += abs(result.scores[0] - 1) <= 2 * result.standard_errors[0]
        claimed.append(result.standard_errors[0])
        found.append(result.scores[0])
    assert covered >= 0.85 * seeds
    assert np.mean(claimed) == pytest.approx(1 / 8, rel=0.3)
    assert np.std(found) == pytest.approx(1 / 8, rel=0.3)


def test_an_error_that_cannot_be_told_is_not_a_number() -> None:
    result = score_modules(game(2, lambda gates: gates.sum(1)), ones(1), keep=0.5)
    assert result.standard_errors is not None
    assert np.isnan(result.standard_errors).all()
    assert result.share_beyond_noise == 0.0


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
        ({"n_masks": 0}, "n_masks of at least 2"),
        ({"n_masks": 1, "masks": "per_batch"}, "n_masks of at least 2, found 1: fewer masks per batch cannot see"),
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
