"""Transforms: each changes its share of the rows and leaves the others bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import exp1
from torch import Tensor

from tracetune.data.synthetic import transforms
from tracetune.data.synthetic.components import standardise
from tracetune.data.synthetic.random_source import RandomSource

N, LENGTH = 2000, 128


def series(n: int = N, seed: int = 9) -> Tensor:
    return standardise(RandomSource(seed).normal(n, LENGTH))


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).any(1)


# Hanging sensors and limits can leave a row as it is: a stretch of one step, no limit on either side.
CERTAIN = {transforms.hold: 0.865, transforms.censor: 0.84}


@pytest.mark.parametrize("step", [step for step in transforms.TRANSFORMS if step is not transforms.add_events])
def test_a_transform_touches_only_its_share(step: Callable) -> None:
    before = series()
    assert torch.equal(step(before, RandomSource(0), share=0.0), before)
    certain = CERTAIN.get(step, 1.0)
    for share in (1.0, 0.25):
        after = step(before, RandomSource(0), share=share)
        assert after.shape == before.shape
        assert after.isfinite().all()
        assert changed(before, after).float().mean().item() == pytest.approx(share * certain, abs=0.03)


def test_events_are_spikes_and_shifts_on_a_share_each() -> None:
    before = series()
    assert torch.equal(transforms.add_events(before, RandomSource(0), share=0.0), before)
    after = transforms.add_events(before, RandomSource(0), share=0.2)
    low, high = 0.002 * LENGTH, 0.02 * LENGTH  # expected spikes in a row, log-uniform between them
    no_spike = (exp1(low) - exp1(high)) / np.log(high / low)
    untouched = (~changed(before, after)).float().mean().item()
    assert untouched == pytest.approx(0.8 * (0.8 + 0.2 * no_spike), abs=0.03)


def test_flips_and_reversals_are_exact() -> None:
    before = series()
    assert torch.equal(transforms.flip_sign(before, RandomSource(0), share=1.0), -before)
    assert torch.equal(transforms.reverse_time(before, RandomSource(0), share=1.0), before.flip(1))


def test_smoothing_is_numpys_moving_average() -> None:
    before = series(4)
    padded = np.pad(before.numpy(), ((0, 0), (2, 2)), mode="edge")
    expected = [np.convolve(row, np.full(5, 0.2), mode="valid") for row in padded]
    np.testing.assert_allclose(transforms.smooth(before, RandomSource(0), share=1.0).numpy(), expected, atol=1e-6)


def test_quantised_values_are_multiples_of_one_resolution() -> None:
    after = transforms.quantise(series(50), RandomSource(0), share=1.0)
    resolution = RandomSource(0).log_uniform(50, 1, low=0.05, high=0.6)
    torch.testing.assert_close((after / resolution).round() * resolution, after, atol=1e-5, rtol=0)


def test_censored_values_stay_within_limits_and_others_are_kept() -> None:
    before = series(500)
    after = transforms.censor(before, RandomSource(0), share=1.0)
    low, high = after.amin(1, keepdim=True), after.amax(1, keepdim=True)
    assert torch.equal(after, before.clamp(low, high))


def test_a_hanging_sensor_repeats_one_value_for_at_most_an_eighth() -> None:
    before = series(500)
    after = transforms.hold(before, RandomSource(0), share=1.0)
    for row, held in zip(before, after, strict=True):
        (moved,) = torch.where(row != held)
        if len(moved):
            first, last = moved[0].item() - 1, moved[-1].item()
            assert (held[first : last + 1] == row[first]).all()
            assert last - first < LENGTH / 8


def test_warped_time_stays_within_the_range_and_in_order() -> None:
    ramp = torch.linspace(-1, 1, LENGTH).expand(300, -1)
    after = transforms.warp_time(ramp, RandomSource(0), share=1.0)
    assert (after.diff(dim=1) >= 0).all()
    span = after[:, -1] - after[:, 0]
    assert span.min() > 0.9
    assert span.max() <= 2.0


def test_noise_is_added_at_levels_up_to_the_signal() -> None:
    before = series()
    level = (transforms.add_noise(before, RandomSource(0), share=1.0) - before).std(1)
    assert level.min() < 0.015
    assert 0.8 < level.max() < 1.2


@given(seed=st.integers(0, 500))
def test_mixed_rows_are_convex_combinations(seed: int) -> None:
    weights = transforms.mix_rows(torch.eye(40), RandomSource(seed), share=1.0)  # row i: the weights of the rows in it
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(40))
    assert (weights > 0).sum(1).max() <= 3
    assert (weights.diagonal() > 0).all()


def test_mixing_weights_are_dirichlet() -> None:
    weights = transforms.mix_rows(torch.eye(N), RandomSource(0), share=1.0).diagonal()
    assert weights.mean().item() == pytest.approx(1 / 3, abs=0.02)
    assert weights.var().item() == pytest.approx(1 / 18, abs=0.005)
    assert transforms.mix_rows(torch.eye(N), RandomSource(0)).diagonal().eq(1).float().mean().item() == pytest.approx(
        0.8, abs=0.03
    )


def test_all_transforms_together_return_standardised_rows_of_the_same_seed() -> None:
    after = transforms.transform(series(), RandomSource(0))
    torch.testing.assert_close(after.mean(1), torch.zeros(N), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std(1, correction=0), torch.ones(N), atol=1e-3, rtol=0)
    assert torch.equal(after, transforms.transform(series(), RandomSource(0)))
