"""Competing kernels: who wins and who loses beside plain loops, gradients, and kernels that never change."""

import numpy as np
import pytest
import torch

from tracetune.heads.competing_kernels import CompetingKernels, gentle_root
from tracetune.heads.kernel_counts import GROUP


def series(samples: int, channels: int, length: int) -> torch.Tensor:
    return torch.randn(samples, channels, length, generator=torch.Generator().manual_seed(0)).cumsum(dim=-1)


def learned(values: torch.Tensor, kernels: int = 16) -> CompetingKernels:
    found = CompetingKernels(values.shape[1], values.shape[2], kernels)
    found.learn(values)
    return found


@pytest.mark.parametrize("row", [0, 1, 4, 5])
def test_a_kernel_wins_where_its_response_is_the_largest_and_loses_where_it_is_the_smallest(row: int) -> None:
    values = series(5, 1, 64)
    found = learned(values)
    assert found.dilations == (1, 2, 4)
    dilation = found.dilations[row // 2]
    given = ((values[3, 0] - values.mean()) / values.std(unbiased=False)).double().numpy()
    if row % 2:
        given = np.diff(given)
    padded = np.pad(given, 4 * dilation)
    taps = np.array([padded[step : step + 9 * dilation : dilation] for step in range(len(given))])
    responses = taps @ found.kernels[row, 1].double().numpy().T  # [L, 8]
    winner, loser = responses.argmax(axis=1), responses.argmin(axis=1)
    won = [np.maximum(responses[winner == kernel, kernel], 0).sum() / len(given) for kernel in range(GROUP)]
    lost = [(loser == kernel).mean() for kernel in range(GROUP)]
    features = found(values)[3].unflatten(0, (6, 2, 2, GROUP))[row, :, 1]  # row, won or lost, group
    np.testing.assert_allclose(features.double().square(), [won, lost], atol=1e-4)


def test_kernels_never_change() -> None:
    kernels = CompetingKernels(1, 64, 256).kernels
    assert kernels.shape == (6, 32, GROUP, 9)
    torch.testing.assert_close(kernels.sum(dim=-1), torch.zeros(6, 32, GROUP), atol=1e-6, rtol=0)
    torch.testing.assert_close(kernels.abs().sum(dim=-1), torch.ones(6, 32, GROUP))
    drawn = np.array([1.76405235, 0.40015721, 0.97873798, 2.2408932, 1.86755799, -0.97727788, 0.95008842, -0.15135721])
    drawn = np.append(drawn, -0.10321885)  # the first nine of numpy's RandomState(0)
    drawn -= drawn.mean()
    np.testing.assert_allclose(kernels[0, 0, 0], drawn / np.abs(drawn).sum(), atol=1e-6)
    assert "kernels" not in CompetingKernels(1, 64, 256).state_dict()  # a saved head stays small


def test_level_and_unit_of_a_channel_do_not_count() -> None:
    values = series(12, 3, 40)
    other = values * torch.tensor([1.0, 100.0, 0.01])[:, None] + torch.tensor([5.0, -3.0, 0.0])[:, None]
    torch.testing.assert_close(learned(values)(values), learned(other)(other), atol=2e-2, rtol=0)


def test_missing_and_constant_channels_are_the_mean() -> None:
    values = series(6, 2, 30)
    values[:, 1] = float("nan")
    found = learned(values)
    torch.testing.assert_close(found(values), found(torch.stack([values[:, 0], torch.zeros(6, 30)], dim=1)))
    constant = torch.full((4, 2, 30), 7.0)
    assert torch.isfinite(learned(constant)(constant)).all()


def test_a_gradient_says_what_would_make_a_kernel_lose_more_often() -> None:
    values = series(8, 1, 50)
    found = learned(values)
    asked = values.clone().requires_grad_(True)
    features = found(asked)
    torch.testing.assert_close(features.detach(), found(values), atol=1e-6, rtol=0)
    number = int(features[:, 16:32].mean(dim=0).argmax()) + 16  # how often a kernel of the first row loses
    features[:, number].sum().backward()
    assert asked.grad is not None
    assert torch.isfinite(asked.grad).all()
    with torch.no_grad():
        moved = found(values + 0.3 * values.std() * asked.grad / asked.grad.abs().amax())
    assert moved[:, number].mean() > features[:, number].mean()


def test_what_hardly_ever_happens_has_no_steep_gradient() -> None:
    values = torch.tensor([0.0, 1e-8, 0.06, 0.61, 1.0], requires_grad=True)
    roots = gentle_root(values)
    torch.testing.assert_close(roots.detach(), values.detach().sqrt())
    roots.sum().backward()
    torch.testing.assert_close(values.grad, 0.5 / (values.detach() + 0.03).sqrt())
