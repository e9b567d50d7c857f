import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tracetune.selection.estimates.gate_masks import draw_masks, stratified_masks

shares = st.one_of(st.sampled_from([1 / 84, 1 / 49, 0.5, 0.999, 1.0]), st.floats(0.01, 1.0))


@settings(max_examples=60)
@given(shares, st.sampled_from(["budget", "shapley"]), st.integers(1, 9), st.integers(1, 40), st.integers(0, 1000))
def test_weights_add_up_and_read_the_middle_of_every_own_gate(
    keep: float, context: str, modules: int, count: int, seed: int
) -> None:
    masks = draw_masks(modules, count, keep, context, torch.Generator().manual_seed(seed))
    twins = context == "shapley" or count < stratified_masks(keep)
    assert masks.gates.shape == masks.weights.shape == (1 + twins, modules, count)
    assert masks.gates[0].unique().tolist() in ([0.0], [1.0], [0.0, 1.0])
    if twins:
        assert ((masks.gates[1] - masks.gates[0]).abs() == 1 / 8).all()
    np.testing.assert_allclose(masks.weights.sum((0, 2)), 1.0, atol=1e-9)
    np.testing.assert_allclose((masks.weights * masks.gates).sum((0, 2)), 0.5, atol=1e-9)


@pytest.mark.parametrize(
    ("keep", "stratified"), [(0.5, 2), (0.3, 4), (0.8, 5), (1 / 49, 49), (0.999, 1000), (1.0, None)]
)
def test_the_least_number_of_stratified_masks(keep: float, stratified: int | None) -> None:
    assert stratified_masks(keep) == (float("inf") if stratified is None else stratified)


def curved(gates: Tensor) -> Tensor:
    """Gradients [N, P, M, K] of g_0^2 g_1 - 2 g_1^2 g_2 g_3 + g_2 g_3^2 + g_0 g_1 at gates [N, P, M, K]."""
    gates = gates.clone().requires_grad_()
    a, b, c, d = gates.unbind(2)
    (gradient,) = torch.autograd.grad((a**2 * b - 2 * b**2 * c * d + c * d**2 + a * b).sum(), gates)
    return gradient


def importance(q: float) -> np.ndarray:
    """phi of :func:`curved` at share q: every product of the other gates is open with probability q to its number."""
    return -np.array([2 * q, 2 * q - 2 * q**2, q - 2 * q**2, q - 2 * q**2])


SHAPLEY = -np.array([1, 1 - 2 / 3, 1 / 2 - 2 / 3, 1 / 2 - 2 / 3])  # its integral over q


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("keep", "context"), [(0.0625, "budget"), (0.9, "budget"), (1.0, "budget"), (0.5, "shapley")])
def test_curvature_that_depends_on_other_modules_is_read_without_bias(keep: float, context: str, count: int) -> None:
    """Each gate is quadratic at most in each product, which any number of masks reads right in the mean."""
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_masks(4, count, keep, context, generator) for _ in range(1500)]
    weights = torch.stack([masks.weights for masks in drawn])
    found = -(weights * curved(torch.stack([masks.gates for masks in drawn]))).sum((1, 3)).numpy()
    expected = SHAPLEY if context == "shapley" else importance(keep)
    assert (np.abs(found.mean(0) - expected) < 4 * found.std(0) / np.sqrt(len(found)) + 1e-6).all()
    assert (found.std(0) < 4).all()


def test_stratified_masks_keep_their_probability_and_modules_are_independent() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_masks(3, 7, 0.3, "budget", generator).gates[0] for _ in range(4000)])
    assert (drawn.sum(2) - 2.1).abs().max() < 1  # two or three of seven
    np.testing.assert_allclose(drawn.mean(dim=0), 0.3, atol=0.035)
    correlation = np.corrcoef(drawn.permute(1, 0, 2).flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.03


def test_masks_with_twins_keep_their_probability() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_masks(5, 4, 0.05, "budget", generator).gates for _ in range(2000)])
    np.testing.assert_allclose(drawn.mean(dim=(0, 2, 3)), 0.05, atol=0.005)


def test_shapley_masks_have_shares_from_all_over_the_unit_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([draw_masks(400, 10, 0.3, "shapley", generator).gates[0] for _ in range(50)]).mean(1)
    np.testing.assert_allclose(found.sort(dim=1).values.mean(0), np.arange(0.05, 1, 0.1), atol=0.03)
