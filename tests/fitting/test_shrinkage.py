"""A trained model is moved back towards its start as far as validation says."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import CONTEXT, HORIZON, tiny_backbone
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.evaluation.periods import SampleGroups
from tracetune.fitting.config import FitConfig
from tracetune.fitting.interpolation import WeightPath, adapter_path, head_path
from tracetune.fitting.shrinkage import BEYOND, FACTORS, best_factor, chosen_factor, search, shrink, shrink_modules
from tracetune.fitting.trained import Shrinkage
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.measure import sample_losses

PERIODS = np.repeat(np.arange(4), 5)
GROUPS = SampleGroups(PERIODS, np.zeros_like(PERIODS))


def parabola(best: float) -> dict[float, np.ndarray]:
    """Losses [5] by factor, of a period whose optimum is at ``best``."""
    return {factor: np.full(5, (factor - best) ** 2) for factor in FACTORS}


def beside(*periods: dict[float, np.ndarray]) -> dict[float, np.ndarray]:
    """Return the losses of several periods as those of all samples."""
    return {factor: np.concatenate([period[factor] for period in periods]) for factor in FACTORS}


def test_the_best_factor_is_that_of_most_periods() -> None:
    assert best_factor(beside(*(parabola(best) for best in (0.5, 0.5, 0.5, 0.75))), GROUPS) == 0.5


def test_one_hard_period_does_not_choose_for_all() -> None:
    """Three periods gain most half-way; the fourth loses there, little of its own loss, but more than they gain."""
    curve = dict(zip(FACTORS, (1.0, 0.8, 0.6, 0.8, 1.0), strict=True))
    easy = {factor: np.full(5, loss) for factor, loss in curve.items()}
    hard = {factor: np.full(5, 5 + 4 * (1 - loss)) for factor, loss in curve.items()}
    losses = beside(easy, easy, easy, hard)
    assert min(losses, key=lambda factor: losses[factor].mean()) == 0
    assert best_factor(losses, GROUPS) == 0.5


class Point(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))


def shrunken(end: float, optima: tuple[float, ...], beyond: tuple[float, ...] = ()) -> tuple[Point, Shrinkage]:
    """A weight that went from 0 to ``end``; the loss of each period is the squared distance to its optimum."""
    model = Point(end)
    path = WeightPath([(model.weight, torch.zeros(1))])
    targets = np.asarray(optima)[PERIODS]
    return model, shrink(path.go_to, lambda: (model.weight.item() - targets) ** 2, GROUPS, beyond=beyond)


def test_the_weights_are_left_at_the_factor() -> None:
    model, found = shrunken(2.0, (1.0, 1.0, 1.0, 1.0))
    assert found.factor == pytest.approx(1 / 3)
    assert model.weight.item() == pytest.approx(2 / 3)
    np.testing.assert_allclose(found.losses, (1 / 3) ** 2, rtol=1e-5)
    assert set(FACTORS) < set(found.tried)


def test_a_model_that_has_learned_too_little_goes_on() -> None:
    """Twice as far as it went is best; two thirds of that are taken, and 3 is the last factor tried."""
    model, found = shrunken(1.0, (2.0,) * 4, BEYOND)
    assert found.factor == pytest.approx(4 / 3)
    assert model.weight.item() == pytest.approx(found.factor)
    assert max(found.tried) == 3.0
    assert not found.ended_early


def test_without_factors_beyond_it_stops_at_the_trained_model() -> None:
    _, found = shrunken(1.0, (2.0,) * 4)
    assert (found.factor, max(found.tried), found.ended_early) == (pytest.approx(2 / 3), 1.0, False)


def test_training_that_ended_early_is_said() -> None:
    model, found = shrunken(1.0, (9.0,) * 4, BEYOND)
    assert found.ended_early
    assert model.weight.item() == pytest.approx(2 / 3 * BEYOND[-1])


def test_a_model_that_goes_back_to_its_start_has_not_ended_early() -> None:
    """Three periods gain up to the largest factor, but the fourth loses more at each of them than they gain."""
    at = [0.0]
    gaining = PERIODS < 3

    def measured() -> np.ndarray:
        return np.where(gaining, 1 - at[0] / 5, 20 + at[0])

    found = shrink(lambda factor: at.__setitem__(0, factor), measured, GROUPS, beyond=BEYOND)
    assert (max(found.tried), found.factor, found.ended_early) == (BEYOND[-1], 0.0, False)


def test_no_factor_beyond_is_measured_where_one_before_it_is_better_or_the_model_diverges() -> None:
    curve = {**dict.fromkeys(FACTORS, np.full(20, 1.0)), 0.75: np.full(20, 0.5)}
    assert set(search(curve.__getitem__, GROUPS, BEYOND)) == set(FACTORS)
    rising = {**{factor: np.full(20, 2 - factor) for factor in FACTORS}, 1.5: np.full(20, np.inf)}
    found = search(rising.__getitem__, GROUPS, BEYOND)
    assert max(found) == 1.5
    assert best_factor(found, GROUPS) == 1.0


@pytest.mark.parametrize("optima", [(-1.0, -1.0, -2.0, -1.0), (3.0, -3.0, -3.0, 0.1), (0.2,) * 4])
def test_it_never_ends_above_the_start(optima: tuple[float, ...]) -> None:
    model, found = shrunken(1.0, optima, BEYOND)
    assert found.losses.mean() <= found.tried[0.0]
    assert model.weight.item() == pytest.approx(found.factor)


def test_where_the_mean_loss_rises_on_the_way_it_goes_less_far_instead_of_nowhere() -> None:
    """Three periods gain at every factor; a fourth, with most of the loss, gains up to half-way and then loses."""

    def at(factor: float) -> np.ndarray:
        easy, hard = np.full(15, 1 - 0.2 * factor), np.full(5, 100 * (1 + 0.05 * (factor - 0.5) ** 2))
        return np.concatenate([easy, hard])

    found = search(at, GROUPS, BEYOND)
    assert best_factor(found, GROUPS) == 4.0
    assert at(2 / 3 * 4.0).mean() > at(0.0).mean()
    assert chosen_factor(found, at, GROUPS) == pytest.approx(2 / 3)


def test_a_model_that_diverged_is_left_behind() -> None:
    model, found = shrunken(float("nan"), (1.0, 1.0, 1.0, 1.0))
    assert (found.factor, model.weight.item()) == (0.0, 0.0)


def batch(rows: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "past_values": torch.randn(rows, 1, CONTEXT, generator=generator),
        "input_mask": torch.ones(rows, 1, CONTEXT),
        "future_values": torch.randn(rows, 1, HORIZON, generator=generator),
        "future_mask": torch.ones(rows, 1, HORIZON),
    }


def forecast(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch()).forecast.clone()


def stir(model: nn.Module, seed: int = 1) -> None:
    """Change what trains, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("kind", ["flatten", "projection", "convolution"])
def test_a_head_goes_from_zero_shot_to_trained(kind: str) -> None:
    config = HeadConfig(kind, beta=1, tokens="future")
    model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, config)
    zero_shot = forecast(ForecastModel.from_backbone(tiny_backbone(), HORIZON))
    stir(model.head)
    trained = forecast(model)
    path = head_path(model)
    path.go_to(0.0)
    torch.testing.assert_close(forecast(model), zero_shot, rtol=1e-4, atol=1e-5)
    path.go_to(1.0)
    assert torch.equal(forecast(model), trained)


def test_the_forecast_of_a_solved_head_is_linear_in_the_factor() -> None:
    model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("projection", beta=1, tokens="future"))
    zero_shot = forecast(model)
    model.head.output.requires_grad_(True)
    model.head.down.requires_grad_(False)
    model.head.down.weight.data[model.kept_directions :] += 0.3  # directions that zero-shot does not use
    stir(model.head)
    trained = forecast(model)
    head_path(model).go_to(0.5)
    torch.testing.assert_close(forecast(model), (zero_shot + trained) / 2, rtol=1e-4, atol=1e-5)


def test_each_module_has_a_factor_of_its_own() -> None:
    start = ForecastModel.from_backbone(tiny_backbone(), HORIZON).requires_grad_(False)
    tuned = add_lora(copy.deepcopy(start), LoraOptions(target_modules=("*.0.layer.0.SelfAttention.q", "*.wo")))
    stir(tuned)
    series = np.random.default_rng(0).normal(size=(1, 300)).astype(np.float32)
    windows = Windows([series], CONTEXT, HORIZON, stride=9)
    groups = SampleGroups(np.arange(len(windows)) * 3 // len(windows), np.zeros(len(windows), dtype=int))
    before, at_start = (sample_losses(model, windows).mean() for model in (tuned, start))
    shrink_modules(tuned, windows, groups, batch_size=64)
    assert sample_losses(tuned, windows).mean() <= min(before, at_start) + 1e-6


@pytest.mark.parametrize("method", ["dora", "full", "adalora", "linear_probe"])
def test_a_factor_on_each_module_is_refused_where_it_could_not_be_folded_in(method: str) -> None:
    with pytest.raises(InputError, match="plain LoRA modules for shrink='modules'"):
        FitConfig(method=method, shrink="modules")


def test_a_head_on_tokens_of_the_context_has_no_way_from_zero_shot() -> None:
    assert head_path(ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("flatten"))) is None


@pytest.mark.parametrize("method", ["lora", "dora", "adalora", "full"])
@pytest.mark.parametrize("head", [None, HeadConfig("projection", beta=2)])
def test_what_a_method_made_goes_back_to_its_start(method: str, head: HeadConfig | None) -> None:
    start = ForecastModel.from_backbone(tiny_backbone(), HORIZON, head).requires_grad_(False)
    before = forecast(start)
    model = copy.deepcopy(start)
    if method == "full":
        tuned = model.requires_grad_(True)
    elif method == "adalora":
        tuned = add_adalora(model, LoraOptions(), AdaLoraOptions(), 10)
    else:
        tuned = add_lora(model, LoraOptions(use_dora=method == "dora"))
    stir(tuned)
    trained = forecast(tuned)
    assert not torch.allclose(trained, before, atol=1e-3)
    path = adapter_path(start, tuned)
    path.go_to(0.0)
    torch.testing.assert_close(forecast(tuned), before, rtol=1e-4, atol=1e-5)
    path.go_to(1.0)
    assert torch.equal(forecast(tuned), trained)


def test_the_factor_of_lora_multiplies_what_it_adds() -> None:
    start = ForecastModel.from_backbone(tiny_backbone(), HORIZON).requires_grad_(False)
    tuned = add_lora(copy.deepcopy(start), LoraOptions())
    stir(tuned)
    layers = {name: p.clone() for name, p in tuned.named_parameters() if "lora_" in name}
    adapter_path(start, tuned).go_to(0.25)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            torch.testing.assert_close(parameter, layers[name] * (0.25 if "lora_B" in name else 1.0))
