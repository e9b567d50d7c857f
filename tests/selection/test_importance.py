import math
import random
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from tests.selection.toys import Forecaster, forecast_batches, game, lora_forecaster, ones
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.importance import Importance, score_modules
from tracetune.selection.layers import adapter_parameters
from tracetune.selection.scores import SCORES, find_score
from tracetune.selection.validation import mean_loss, model_loss

METHODS = sorted(SCORES)


def parameters(model: nn.Module) -> dict[str, tuple[bool, torch.Tensor, Any]]:
    named = model.named_parameters()
    return {
        name: (w.requires_grad, w.detach().clone(), None if w.grad is None else w.grad.clone()) for name, w in named
    }


def unchanged(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def equal(a: Any, b: Any) -> bool:
        grads = a[2] is b[2] is None or torch.equal(a[2], b[2])
        return a[0] == b[0] and torch.equal(a[1], b[1]) and grads

    return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_scoring_leaves_everything_as_it_was(method: str, fails: bool) -> None:
    model = lora_forecaster()
    batches = forecast_batches()
    model(**batches[0])["loss"].backward()
    gates = Gates(model)
    gates.close(["blocks.0.down"])
    model.train()
    model.base_model.model.head.eval()
    modes = [module.training for module in model.modules()]
    before = parameters(model)
    generators = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    if fails:
        batches[1]["y"][0] = math.nan
    loader = DataLoader(range(2), batch_size=None, shuffle=True, collate_fn=batches.__getitem__)
    try:
        result = score_modules(model, loader, method=method, gates=gates)
        assert not fails or result.samples == 0
    except InputError as error:
        assert fails and "finite validation losses" in str(error)
    assert [module.training for module in model.modules()] == modes
    assert unchanged(parameters(model), before)
    assert gates.closed_names == ("blocks.0.down",)
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1])  # noqa: NPY002
    assert random.getstate() == generators[2]
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("method", METHODS)
def test_every_score_has_the_same_form_and_scores_closed_modules(method: str) -> None:
    model, batches = lora_forecaster(), forecast_batches()
    expected = score_modules(model, batches, method=method)
    gates = Gates(model)
    gates.close(["blocks.0.down", "blocks.1.up"])
    result = score_modules(model, batches, method=method)
    assert isinstance(result, Importance)
    assert result.names == gates.names
    assert result.scores.shape == (4,)
    assert np.isfinite(result.scores).all()
    np.testing.assert_allclose(result.scores, expected.scores, rtol=1e-5)
    assert result.method == method
    assert result.seconds >= 0
    assert sorted(result.ranking()) == sorted(gates.names)
    assert result.scores[[result.names.index(name) for name in result.ranking()]].tolist() == sorted(
        result.scores, reverse=True
    )


@pytest.mark.parametrize(
    "method", ["gated_dsic", "diagonal", "leave_one_out", "all_open_gradient", "adalora", "gradient", "shapley"]
)
def test_no_batches_and_infinite_losses_are_refused(method: str) -> None:
    model = lora_forecaster()
    with pytest.raises(InputError, match="at least one validation batch"):
        score_modules(model, [], method=method)
    batches = forecast_batches()
    batches[0]["y"][0] = math.inf
    with pytest.raises(InputError, match="finite validation losses"):
        score_modules(model, batches, method=method)


def test_the_share_of_scores_beyond_their_noise() -> None:
    def scored(errors: list[float] | None) -> Importance:
        known = None if errors is None else np.array(errors)
        return Importance(("a", "b", "c", "d"), np.array([1.0, -1.0, 1.0, 0.0]), known, "toy", {}, 1, 1.0, 0.0)

    assert scored([0.4, 0.4, 0.6, 0.0]).share_beyond_noise == 0.5
    assert scored([0.4, math.nan, math.nan, math.nan]).share_beyond_noise == 0.25
    assert scored(None).share_beyond_noise is None


def test_unknown_method_and_foreign_gates_are_refused() -> None:
    model = lora_forecaster()
    with pytest.raises(InputError, match="Did you mean 'gated_dsic'"):
        score_modules(model, [], method="gated_dscic")
    with pytest.raises(InputError, match="gates of this very model"):
        score_modules(model, [], gates=Gates(lora_forecaster()))
    assert "n_masks" in find_score("gated_dsic").options


def test_magnitude_is_the_norm_of_the_scaled_product() -> None:
    model = lora_forecaster(use_rslora=True)
    result = score_modules(model, [], method="magnitude")
    for layer, score in zip(Gates(model).layers.values(), result.scores, strict=True):
        assert score == pytest.approx(float(layer.get_delta_weight("default").detach().norm()), rel=1e-5)


def test_gradient_is_the_norm_over_all_samples() -> None:
    model, batches = lora_forecaster().eval(), forecast_batches((6, 2))
    result = score_modules(model, batches, method="gradient")
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    model(**whole)["loss"].backward()
    for layer, score in zip(Gates(model).layers.values(), result.scores, strict=True):
        gradients = [weight.grad.flatten() for weight in adapter_parameters(layer).values()]
        assert score == pytest.approx(float(torch.cat(gradients).norm()), rel=1e-4)


def test_leave_one_out_is_the_difference_of_two_losses() -> None:
    model, batches = lora_forecaster(), forecast_batches((6, 2))
    result = score_modules(model, batches, method="leave_one_out")
    gates, full = Gates(model), mean_loss(model, batches)
    for name, score in zip(gates.names, result.scores, strict=True):
        gates.close([name])
        assert score == pytest.approx(mean_loss(model, batches) - full, abs=1e-6)
        gates.open([name])
    assert result.forward_equivalents == 2 * 5
    from_means = score_modules(model, batches, lambda model, batch: model(**batch)["loss"], method="leave_one_out")
    np.testing.assert_allclose(from_means.scores, result.scores, atol=1e-6)


def test_all_open_gradient_is_minus_the_gate_gradient() -> None:
    def loss(gates: torch.Tensor) -> torch.Tensor:
        return 2 * gates[:, 0] - gates[:, 1] + gates[:, 0] * gates[:, 1]

    result = score_modules(game(2, loss), ones(3, 2), method="all_open_gradient")
    np.testing.assert_allclose(result.scores, [-3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(result.standard_errors, [0.0, 0.0], atol=1e-6)


def test_adalora_agrees_with_pefts_rank_allocator() -> None:
    """The same weights and gradients through PEFT's own AdaLoRA code give the same sensitivities."""
    from peft.tuners.adalora.layer import RankAllocator

    model, batches = lora_forecaster().eval(), forecast_batches((6, 6, 6))
    result = score_modules(model, batches, method="adalora", beta1=0.7, beta2=0.6)
    config = peft.AdaLoraConfig(target_modules=["up"], total_step=100, beta1=0.7, beta2=0.6)
    allocator = RankAllocator(model, config, "default")
    for batch in batches:
        model.zero_grad()
        model(**batch)["loss"].backward()
        allocator.update_ipt(model)
    for name, score in zip(result.names, result.scores, strict=True):
        prefix = f"base_model.model.{name}"
        down = allocator._element_score(f"{prefix}.lora_A.default.weight")
        up = allocator._element_score(f"{prefix}.lora_B.default.weight")
        assert score == pytest.approx(float(down.mean(dim=1).sum() + up.mean(dim=0).sum()), rel=1e-4)


def test_kappa_ranks_as_pefts_own_selector() -> None:
    model = lora_forecaster()
    torch.manual_seed(0)
    plain = Forecaster()
    expected = [
        name
        for name in peft.helpers.find_kappa_target_modules(plain, top_p=1.0, show_progress=False)["target_modules"]
        if name.startswith("blocks")
    ]
    assert list(score_modules(model, [], method="kappa").ranking()) == expected


def test_random_scores_are_fixed_by_the_seed() -> None:
    model = lora_forecaster()
    one, two, other = (score_modules(model, [], method="random", seed=seed).scores for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_loss_is_found_where_models_put_it() -> None:
    class Output:
        loss = torch.tensor(2.0)

    losses = torch.ones(3)
    assert model_loss(lambda: {"loss_per_sample": losses, "loss": losses.mean()}, {}) is losses
    assert float(model_loss(Output, {})) == 2.0
    with pytest.raises(InputError, match="Put the targets into the batches"):
        model_loss(lambda: {"logits": losses}, {})
    with pytest.raises(InputError, match="Pass loss_fn"):
        model_loss(Output, (losses,))
    with pytest.raises(InputError, match=r"shape \[B\], or their mean, found \[2, 3\]"):
        score_modules(lora_forecaster(), forecast_batches(), lambda model, batch: torch.ones(2, 3), masks="per_batch")
