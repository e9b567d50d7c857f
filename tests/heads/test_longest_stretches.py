"""Longest stretches above thresholds, beside a plain loop, and their gradient."""

from itertools import groupby

import pytest
import torch

from tracetune.heads.kernel_counts import KERNELS
from tracetune.heads.longest_stretches import LongestStretches, longest_stretch


def series(samples: int, channels: int, length: int) -> torch.Tensor:
    return torch.randn(samples, channels, length, generator=torch.Generator().manual_seed(0)).cumsum(dim=-1)


def test_the_longest_run_of_ones() -> None:
    above = (torch.randn(40, 3, 31, generator=torch.Generator().manual_seed(1)) > 0).float()
    above[0], above[1] = 0.0, 1.0
    rows = above.flatten(0, 1).tolist()
    expected = [max((len(list(run)) for one, run in groupby(row) if one), default=0) / 31 for row in rows]
    assert longest_stretch(above).flatten().tolist() == pytest.approx(expected)
    with_gradient = longest_stretch(above.clone().requires_grad_(True))
    assert with_gradient.flatten().tolist() == pytest.approx(expected)


def test_the_gradient_is_that_of_the_run_and_of_the_steps_beside_it() -> None:
    above = torch.tensor([1.0, 0, 0, 1, 1, 1, 0, 0, 1, 1], requires_grad=True)
    longest_stretch(above).backward()
    assert above.grad is not None
    assert (above.grad * 10).tolist() == pytest.approx([0, 0, 1, 1, 1, 1, 1, 0, 0, 0])


def test_features_are_those_of_the_series_and_of_its_differences() -> None:
    values = series(7, 2, 40)
    found = LongestStretches(2, 40, 2 * KERNELS)
    found.learn(values)
    features = found(values)
    assert features.shape == (7, found.features) == (7, 4 * KERNELS)
    assert ((features >= 0) & (features <= 1)).all()
    levels, differences = features.split(2 * KERNELS, dim=1)
    above = torch.stack([each for each, _ in found.levels.above(values)], dim=1)
    torch.testing.assert_close(levels, longest_stretch(above).flatten(1))
    moved = values + torch.tensor([3.0, -20.0])[:, None]  # a level that differences do not have
    assert (found(moved)[:, 2 * KERNELS :] - differences).abs().mean() < 2e-3  # a threshold is a value that occurs
    assert (differences.std(dim=0) > 0).float().mean() > 0.9
    assert torch.isfinite(found(torch.full((2, 2, 40), float("nan")))).all()
