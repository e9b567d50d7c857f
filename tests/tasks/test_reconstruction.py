"""Masked reconstruction: masks as configured, losses that can be compared and learned from."""

import pytest
import torch

from tests.tiny import tiny_backbone
from tracetune.base.errors import InputError
from tracetune.tasks.reconstruction import MaskedReconstruction, MaskingConfig, draw_observed, draw_patch_mask


def test_random_masks_hide_the_configured_share() -> None:
    patch_mask = draw_patch_mask(100, 32, MaskingConfig(random_share=1.0, random_ratio=0.25), None)
    assert patch_mask.shape == (100, 1, 32)
    assert (patch_mask.sum(-1) == 8).all()


def test_suffix_masks_hide_an_end_of_random_length() -> None:
    patch_mask = draw_patch_mask(500, 32, MaskingConfig(random_share=0.0, longest_suffix=0.5), None).squeeze(1)
    lengths = patch_mask.sum(-1)
    assert (patch_mask.int().diff(dim=-1) >= 0).all()
    assert (lengths.min(), lengths.max()) == (1, 16)


def test_every_sample_shows_and_hides_something() -> None:
    patch_mask = draw_patch_mask(200, 2, MaskingConfig(longest_suffix=1.0), None)
    assert (patch_mask.sum(-1) == 1).all()


def test_validation_losses_do_not_depend_on_when_they_are_measured() -> None:
    model = MaskedReconstruction(tiny_backbone(), MaskingConfig()).eval()
    series = torch.randn(8, 1, 64)
    assert model(series).loss == model(series).loss
    model.train()
    assert model(series).loss != model(series).loss


def test_a_jump_in_a_flat_series_keeps_the_loss_finite_and_small() -> None:
    series = torch.zeros(4, 1, 64)
    series[..., -20:] = 1e6
    model = MaskedReconstruction(tiny_backbone(), MaskingConfig(random_share=0.0)).eval()
    assert model(series).loss < 100


def test_training_lowers_the_loss() -> None:
    model = MaskedReconstruction(tiny_backbone(), MaskingConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    series = torch.sin(torch.arange(64) / 4 + 6 * torch.rand(64, 1, 1))
    before = model.eval()(series).loss.item()
    for _ in range(60):
        optimizer.zero_grad()
        model.train()(series).loss.backward()
        optimizer.step()
    assert model.eval()(series).loss.item() < 0.5 * before


def test_shares_outside_of_zero_and_one_are_refused() -> None:
    with pytest.raises(InputError, match=r"random_ratio between 0 and 1, found 1\.5"):
        MaskingConfig(random_ratio=1.5)


def test_short_series_are_observed_at_their_end_and_masked_within_it() -> None:
    config = MaskingConfig(short_share=1.0, random_share=0.5, random_ratio=0.3, longest_suffix=0.5)
    observed = draw_observed(500, 64, 8, config, None)
    assert observed.shape == (500, 1, 64)
    assert (observed.int().diff(dim=-1) >= 0).all()
    present = observed.unflatten(-1, (8, 8)).any(-1).sum(-1)
    assert (present.min(), present.max()) == (2, 8)
    patch_mask = draw_patch_mask(500, 8, config, None, present)
    assert not (patch_mask & ~observed.unflatten(-1, (8, 8)).any(-1)).any()
    hidden = patch_mask.sum(-1)
    assert (hidden >= 1).all() and (hidden < present).all()
    assert (hidden <= (0.5 * present).round().clamp(min=1)).all()


def test_what_is_unobserved_does_not_bear_on_the_loss() -> None:
    model = MaskedReconstruction(tiny_backbone(), MaskingConfig(short_share=1.0)).eval()
    series = torch.randn(8, 1, 64)
    observed = draw_observed(8, 64, 8, model.masking, torch.Generator().manual_seed(0))
    assert not observed.all()
    changed = torch.where(observed, series, series + 100)
    torch.testing.assert_close(model(changed).sample_losses, model(series).sample_losses)


def test_without_short_series_the_masks_are_drawn_as_if_there_was_no_such_option() -> None:
    masks = [
        draw_patch_mask(50, 8, MaskingConfig(), torch.Generator().manual_seed(1), present)
        for present in (None, torch.full((50, 1), 8))
    ]
    assert torch.equal(*masks)
    assert draw_observed(50, 64, 8, MaskingConfig(), None).all()
