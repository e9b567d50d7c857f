"""Shares of convolutions: kernels, dilations, thresholds and gradients, beside plain loops."""

import numpy as np
import pytest
import torch

from tracetune.heads.convolutions import Convolutions
from tracetune.heads.kernel_counts import KERNELS


def series(samples: int, channels: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, channels, length, generator=torch.Generator().manual_seed(seed)).cumsum(dim=-1)


def kernel(number: int) -> np.ndarray:
    """The nine weights of a kernel: three of 2 in the order of their places, six of -1."""
    places = [(a, b, c) for a in range(9) for b in range(a + 1, 9) for c in range(b + 1, 9)]
    weights = np.full(9, -1.0)
    weights[list(places[number])] = 2.0
    return weights


@pytest.mark.parametrize(("number", "feature_row"), [(0, 0), (41, 3), (83, 5)])
def test_a_feature_is_the_share_of_steps_above_its_threshold(number: int, feature_row: int) -> None:
    values, length = series(5, 1, 64), 64
    found = Convolutions(1, length, 6 * KERNELS)
    found.learn(values)
    assert sum(found.dilations.values()) == 6
    of_row = [
        (place, dilation) for place, (dilation, count) in enumerate(found.dilations.items()) for _ in range(count)
    ]
    place, dilation = of_row[feature_row]
    row = ((values[2, 0] - values.mean()) / values.std(unbiased=False)).double().numpy()
    padded = np.pad(row, 4 * dilation)
    convolved = np.array([padded[step : step + 9 * dilation : dilation] @ kernel(number) for step in range(length)])
    if (number + place) % 2:  # only where all taps lie inside
        convolved = convolved[4 * dilation : length - 4 * dilation]
    expected = np.mean(convolved > float(found.thresholds[feature_row, number]))
    assert found(values)[2, feature_row * KERNELS + number] == pytest.approx(expected, abs=1.01 / len(convolved))


def test_dilations_reach_from_neighbours_to_the_whole_series() -> None:
    found = Convolutions(1, 512, 2016)
    assert found.features == 2016
    assert next(iter(found.dilations)) == 1
    assert 8 * max(found.dilations) <= 511 < 8 * (max(found.dilations) + 1)
    assert Convolutions(1, 9, 200).dilations == {1: 2}  # rounded down to two features a kernel


def test_level_and_unit_of_a_channel_do_not_count() -> None:
    values = series(12, 3, 40)
    other = values * torch.tensor([1.0, 100.0, 0.01])[:, None] + torch.tensor([5.0, -3.0, 0.0])[:, None]
    plain, scaled = Convolutions(3, 40, 168), Convolutions(3, 40, 168)
    plain.learn(values)
    scaled.learn(other)
    assert (plain(values) - scaled(other)).abs().mean() < 2e-3  # a step on its threshold may fall to either side


def test_thresholds_split_the_steps_of_the_series_that_were_learned() -> None:
    values = series(20, 2, 100)
    found = Convolutions(2, 100, 840)
    found.learn(values)
    shares = found(values)
    assert shares.shape == (20, 840)
    assert 0.45 < shares.mean() < 0.55
    assert (shares.std(dim=0) > 0).float().mean() > 0.95


def test_missing_and_constant_channels_are_the_mean() -> None:
    values = series(6, 2, 30)
    values[:, 1] = float("nan")
    found = Convolutions(2, 30, 84)
    found.learn(values)
    assert torch.isfinite(found(values)).all()
    torch.testing.assert_close(found(values), found(torch.stack([values[:, 0], torch.zeros(6, 30)], dim=1)))
    constant = torch.full((4, 2, 30), 7.0)
    found.learn(constant)
    assert torch.isfinite(found(constant)).all()


def test_a_gradient_says_what_would_bring_steps_above_their_thresholds() -> None:
    values = series(8, 1, 50)
    found = Convolutions(1, 50, 168)
    found.learn(values)
    asked = values.clone().requires_grad_(True)
    features = found(asked)
    torch.testing.assert_close(features.detach(), found(values), atol=1e-6, rtol=0)
    features[:, 7].sum().backward()
    assert asked.grad is not None
    assert torch.isfinite(asked.grad).all()
    with torch.no_grad():
        raised = found(values + 0.5 * asked.grad / asked.grad.abs().amax())
    assert raised[:, 7].mean() > features[:, 7].mean()
