"""The imputation head: its closed form finds the weights that made the data, and keeps what it cannot better."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.heads.imputation import ImputationHead, ImputationHeadConfig, beyond_noise, solve_imputation

TERMS, RELATED, LENGTHS, DISTANCES = 3, 2, 2, 2


def batch(seed: int, shared: Tensor, by_channel: Tensor) -> dict[str, Tensor]:
    """Tokens of one draw, and targets that these weights make of them."""
    generator = torch.Generator().manual_seed(seed)
    terms = torch.randn(8, 2, 50, TERMS + RELATED, generator=generator)
    classes = torch.randint(0, 2, (8, 2, 50, 2), generator=generator).float()
    head = ImputationHead(shared, 2, RELATED)
    head.by_channel.data.copy_(by_channel)
    tokens, line = torch.cat([terms, classes], dim=-1), torch.randn(8, 2, 50, generator=generator)
    with torch.no_grad():
        target = line + head(tokens)
    hidden = (torch.rand(8, 2, 50, generator=generator) < 0.5).float()
    return {"tokens": tokens, "line": line, "target_values": target, "target_mask": hidden}


def test_least_squares_finds_the_weights_that_made_the_data() -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(LENGTHS, DISTANCES, TERMS, generator=generator)
    by_channel = torch.zeros(2, LENGTHS, TERMS + RELATED)
    by_channel[..., TERMS:] = torch.randn(2, LENGTHS, RELATED, generator=generator)
    parts = [batch(seed, shared, by_channel) for seed in range(12)]
    head = ImputationHead(torch.zeros(LENGTHS, DISTANCES, TERMS), 2, RELATED)
    solve_imputation(head, parts[:4], parts[4:])
    errors = (head(parts[3]["tokens"]) + parts[3]["line"] - parts[3]["target_values"]).square().mean()
    assert errors < 0.01 * (parts[3]["line"] - parts[3]["target_values"]).square().mean()


def test_a_class_keeps_its_start_where_validation_knows_nothing_better() -> None:
    start = torch.randn(LENGTHS, DISTANCES, TERMS)
    none = torch.zeros(2, LENGTHS, TERMS + RELATED)
    right = batch(0, start, none)
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(1, -start, none)], [right])
    assert torch.allclose(head.shared, start)


def test_a_gain_that_is_noise_between_windows_is_not_taken() -> None:
    """One window that the other weights suit very well does not outweigh the rest, as it would in the mean."""
    start, none = torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    other = torch.randn(LENGTHS, DISTANCES, TERMS, generator=torch.Generator().manual_seed(5))
    windows = [batch(seed, start, none) for seed in range(2)]
    odd = batch(2, 6 * other, none)
    validation = {name: torch.cat([each[name] for each in windows] + [odd[name][:1]]) for name in odd}
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(7, other, none)], [validation])
    assert torch.equal(head.shared, start)
    solve_imputation(head, [batch(7, other, none)], [batch(8, other, none)])
    assert torch.allclose(head.shared, other, atol=1e-2), "what every window tells is taken"


def test_noise_is_judged_by_windows() -> None:
    generator = np.random.default_rng(0)
    counts = torch.from_numpy(generator.integers(1, 30, size=(12, 3)).astype(float))
    gains = counts * torch.from_numpy(generator.normal([0.0, 1.0, -1.0], 0.5, size=(12, 3)))
    assert beyond_noise(gains, counts).tolist() == [False, True, False]
    assert not beyond_noise(gains[:1], counts[:1]).any(), "one window says nothing"
    equal = torch.full((9, 1), 7.0, dtype=torch.float64)
    draws = torch.from_numpy(generator.normal(0.3, 1.0, size=(9, 400)))
    found = beyond_noise(equal * draws, equal.expand(9, 400))
    expected = stats.ttest_1samp(draws.numpy(), 0, alternative="greater").pvalue < 1 - 0.977
    np.testing.assert_array_equal(found.numpy(), expected)


def test_nothing_hidden_is_refused() -> None:
    start = torch.zeros(LENGTHS, DISTANCES, TERMS)
    part = batch(0, start, torch.zeros(2, LENGTHS, TERMS + RELATED))
    part["target_mask"] = torch.zeros_like(part["target_mask"])
    with pytest.raises(InputError, match="observed steps to hide"):
        solve_imputation(ImputationHead(start, 2, RELATED), [part], [part])
    with pytest.raises(InputError, match="related"):
        ImputationHeadConfig(-1)
