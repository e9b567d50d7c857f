"""Scales: what is encoded of a series, and resampling to them."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import CONTEXT, WIDTH, tiny_backbone
from tracetune.backbones.any_module import wrap_module
from tracetune.tasks.classification.scales import encode_scale, resampled, usable_scales


def test_a_series_is_encoded_whole_and_in_windows() -> None:
    backbone = tiny_backbone()
    scales = usable_scales(backbone, (0.25, 0.5, 1.0, 2.0), CONTEXT)
    assert scales.lengths == (32, 64, 128)  # 16 steps are two patches: too few
    assert scales.patches == (4, 8, 24)
    values = torch.randn(2, 3, scales.resolution, generator=torch.Generator().manual_seed(0)) + 5
    with torch.no_grad():
        tokens = torch.cat([encode_scale(backbone, values, scales, number) for number in range(3)], dim=-2)
        assert tokens.shape == (2, 3, 36, WIDTH + 2)
        for number, start in enumerate((0, 32, 64)):
            encoded, statistics = backbone.encode(values[..., start : start + CONTEXT])
            window = tokens[:, :, 12 + 8 * number : 20 + 8 * number]
            torch.testing.assert_close(window[..., :-2], encoded)
            torch.testing.assert_close(window[..., 0, -2:-1], statistics.location)
            torch.testing.assert_close(window[..., 0, -1:], statistics.scale.log())


def test_a_module_of_one_length_is_encoded_at_that_length_alone() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(40, 30)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.layer(values).unflatten(-1, (5, 6))

    backbone = wrap_module(Fixed(), context_length=40, width=6, patch_length=8, layers=("layer",))
    assert usable_scales(backbone, (0.5, 1.0, 2.0), 40).lengths == (40, 80)
    summary = wrap_module(
        nn.Sequential(nn.Linear(40, 6), nn.Unflatten(-1, (1, 6))),
        context_length=40,
        width=6,
        patch_length=8,
        num_tokens=lambda steps: 1,
    )
    assert usable_scales(summary, (0.5, 1.0), 40).lengths == (40,)


def test_series_of_any_length_fill_the_context() -> None:
    short, gaps = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, np.nan, np.nan, 3.0, 4.0]])
    found = resampled([short, gaps], 5)
    np.testing.assert_allclose(found[:, 0], [[0, 0.5, 1, 1.5, 2], [0, 1, 2, 3, 4]])
    assert np.isnan(resampled([np.full((1, 3), np.nan)], 5)).all()
    assert resampled([np.array([[7.0]])], 4)[0, 0].tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("length", [7, 10, 300])
def test_long_series_are_averaged_not_thinned_out(length: int) -> None:
    row = np.random.default_rng(0).normal(size=length)
    found = resampled([row[None]], 5)[0, 0]
    fine = np.repeat(row, 5).reshape(5, length).mean(axis=1)  # every step in five parts: L parts each
    np.testing.assert_allclose(found, fine, rtol=1e-5, atol=1e-6)
