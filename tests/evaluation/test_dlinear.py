import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from tracetune.base.errors import InputError
from tracetune.data.datasets import load_dataset
from tracetune.data.splits import Scaler, split_panel
from tracetune.data.windows import Windows
from tracetune.evaluation.dlinear import DLinear, DLinearConfig, fit_dlinear
from tracetune.evaluation.metrics import MetricAccumulator

CONTEXT, HORIZON = 48, 12


class SineWindows(Dataset):
    """Windows of a noisy sine of period 12; the second half of each future can be spoilt and masked."""

    def __init__(self, size: int, seed: int, spoilt: bool = False) -> None:
        random = np.random.default_rng(seed)
        start = random.integers(0, 12, (size, 1))
        steps = start + np.arange(CONTEXT + HORIZON)
        values = np.sin(2 * np.pi * steps / 12) + random.normal(0, 0.05, steps.shape)
        self.values = torch.tensor(values[:, None], dtype=torch.float32)
        self.future_mask = torch.ones(size, 1, HORIZON)
        if spoilt:
            self.values[..., -HORIZON // 2 :] = 1e3
            self.future_mask[..., -HORIZON // 2 :] = 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitems__(self, indices):
        values = self.values[indices]
        return {
            "past_values": values[..., :CONTEXT],
            "input_mask": torch.ones_like(values[..., :CONTEXT]),
            "future_values": values[..., CONTEXT:],
            "future_mask": self.future_mask[indices],
        }


def test_the_trend_is_a_moving_average_with_the_ends_repeated():
    model = DLinear(5, 2, kernel=3)
    past = torch.tensor([[[3.0, 6.0, 0.0, 3.0, 9.0]]])
    torch.testing.assert_close(model.moving_average(past), torch.tensor([[[4.0, 3.0, 3.0, 4.0, 7.0]]]))


def test_the_forecast_is_the_sum_of_two_linear_maps_and_their_number_of_parameters_as_stated():
    torch.manual_seed(0)
    model = DLinear(CONTEXT, HORIZON)
    past = torch.randn(3, 2, CONTEXT)
    trend = model.moving_average(past)
    expected = trend @ model.trend.weight.T + (past - trend) @ model.remainder.weight.T
    torch.testing.assert_close(model(past), expected + model.trend.bias + model.remainder.bias)
    assert sum(p.numel() for p in model.parameters()) == 2 * (CONTEXT * HORIZON + HORIZON)


@pytest.mark.parametrize("kernel", [0, 24])
def test_a_kernel_without_a_centre_is_refused(kernel):
    with pytest.raises(InputError, match=f"odd moving-average kernel of at least 1, found {kernel}"):
        DLinear(8, 2, kernel)


def fit(train, validation, **options):
    losses = []
    config = DLinearConfig(batch_size=64, **options)
    model = fit_dlinear(train, validation, CONTEXT, HORIZON, config, lambda epoch, loss: losses.append(loss))
    return model, losses


def test_it_learns_a_sine_down_to_the_noise():
    model, losses = fit(SineWindows(2000, 0), SineWindows(300, 1))
    assert min(losses) < 2 * 0.05**2
    assert not model.training


def test_the_weights_are_those_of_the_best_epoch():
    train, validation = SineWindows(600, 0), SineWindows(300, 1)
    model, losses = fit(train, validation, num_train_epochs=6)
    batch = validation.__getitems__(list(range(300)))
    with torch.inference_mode():
        errors = (model(batch["past_values"]) - batch["future_values"]).square()
    assert errors.mean().item() == pytest.approx(min(losses), rel=1e-5)


def test_training_stops_when_validation_no_longer_improves():
    noise = SineWindows(256, 0)
    noise.values = torch.randn_like(noise.values)
    validation = SineWindows(64, 1)
    validation.values = torch.randn_like(validation.values)
    _, losses = fit(noise, validation, num_train_epochs=50, patience=2)
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 50


def test_masked_future_steps_have_no_influence():
    clean, losses = fit(SineWindows(512, 0), SineWindows(100, 1), num_train_epochs=2)
    spoilt, spoilt_losses = fit(SineWindows(512, 0, spoilt=True), SineWindows(100, 1, spoilt=True), num_train_epochs=2)
    assert max(spoilt_losses) < 10 * max(losses)
    kept = slice(0, HORIZON // 2)
    past = SineWindows(50, 2).values[..., :CONTEXT]
    torch.testing.assert_close(spoilt(past)[..., kept], clean(past)[..., kept], rtol=0.05, atol=0.05)


def test_validation_windows_without_observed_values_are_refused():
    validation = SineWindows(64, 1)
    validation.future_mask.zero_()
    with pytest.raises(InputError, match="validation loss was nan after each epoch"):
        fit(SineWindows(64, 0), validation)


@pytest.mark.parametrize("option", ["learning_rate", "num_train_epochs", "batch_size", "patience"])
def test_a_recipe_that_cannot_train_is_refused(option):
    with pytest.raises(InputError, match=f"Expected {option} above 0, found 0"):
        DLinearConfig(**{option: 0})


def test_the_seed_fixes_the_result():
    results = [fit(SineWindows(300, 0), SineWindows(100, 1), num_train_epochs=2, seed=seed)[1] for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


@pytest.mark.slow
def test_etth1_at_96_steps_scores_as_published():
    try:
        data = load_dataset("ETTh1")
    except InputError as error:
        pytest.skip(str(error))
    values = data.panel.series[0].values
    scaled = Scaler.fit(values, 0, data.borders.train_end).transform(values)
    split = split_panel(data.panel, data.borders)
    train, validation, test = (Windows([scaled], 336, 96, p) for p in (split.train, split.validation, split.test))
    model = fit_dlinear(train, validation, 336, 96)
    accumulator = MetricAccumulator()
    for start in range(0, len(test), 512):
        batch = test.__getitems__(range(start, min(start + 512, len(test))))
        with torch.inference_mode():
            accumulator.update(batch["future_values"], model(batch["past_values"]), batch["future_mask"])
    found = accumulator.compute()
    assert found["mse"] == pytest.approx(0.375, abs=0.01)
    assert found["mae"] == pytest.approx(0.399, abs=0.01)
