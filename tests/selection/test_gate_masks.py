import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.selection.gate_masks import draw_masks, least_masks, stratified_masks

shares = st.one_of(st.sampled_from([1 / 84, 1 / 49, 0.5, 0.999, 1.0]), st.floats(0.01, 1.0))


@settings(max_examples=150, deadline=None)
@given(shares, st.sampled_from(["budget", "shapley"]), st.integers(1, 9), st.integers(0, 40), st.integers(0, 1000))
def test_both_ends_of_every_module_are_read_and_weigh_the_same(
    keep: float, context: str, modules: int, more: int, seed: int
) -> None:
    count = least_masks(keep, context) + more
    masks = draw_masks(modules, count, keep, context, torch.Generator().manual_seed(seed))
    assert masks.opened.shape == masks.weights.shape == (modules, count)
    assert masks.opened.any(1).all()
    assert not masks.opened.all(1).any()
    np.testing.assert_allclose(masks.weights.sum(1), 1.0, atol=1e-9)
    np.testing.assert_allclose((masks.weights * masks.opened).sum(1), 0.5, atol=1e-9)


@pytest.mark.parametrize(
    ("keep", "stratified"), [(0.5, 2), (0.3, 4), (0.8, 5), (1 / 49, 49), (0.999, 1000), (1.0, None)]
)
def test_the_least_number_of_masks(keep: float, stratified: int | None) -> None:
    assert stratified_masks(keep) == (float("inf") if stratified is None else stratified)
    assert least_masks(keep, "budget") == min(3, stratified or 3)
    assert least_masks(keep, "shapley") == 2


def test_stratified_masks_keep_their_probability_and_modules_are_independent() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_masks(3, 7, 0.3, "budget", generator).opened for _ in range(4000)]).double()
    assert (drawn.sum(2) - 2.1).abs().max() < 1  # two or three of seven
    np.testing.assert_allclose(drawn.mean(dim=0), 0.3, atol=0.035)
    correlation = np.corrcoef(drawn.permute(1, 0, 2).flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.03


def test_too_few_masks_for_both_ends_keep_the_context_in_half_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_masks(5, 8, 0.05, "budget", generator).opened for _ in range(2000)]).double()
    assert drawn[:, :, :4].mean() == pytest.approx(0.05, abs=0.005)
    assert (drawn[:, :, 4:6] + drawn[:, :, 6:] == 1).all()
    assert drawn[:, :, 4:].mean(dim=(0, 2)).numpy() == pytest.approx(0.5, abs=0.02)


def test_shapley_masks_have_shares_from_all_over_the_unit_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([draw_masks(400, 10, 0.3, "shapley", generator).opened for _ in range(50)]).double().mean(1)
    np.testing.assert_allclose(found.sort(dim=1).values.mean(0), np.arange(0.05, 1, 0.1), atol=0.03)
