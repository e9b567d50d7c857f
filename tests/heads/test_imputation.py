"""The imputation head: its closed form finds the weights that made the data, and keeps what it cannot better."""

import pytest
import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.heads.imputation import ImputationHead, ImputationHeadConfig, solve_imputation

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
    period = torch.full((8,), seed)
    return {"tokens": tokens, "line": line, "target_values": target, "target_mask": hidden, "period": period}


def silent_batch(seed: int) -> dict[str, Tensor]:
    """Nothing is hidden in it."""
    part = batch(seed, torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED))
    part["target_mask"] = torch.zeros_like(part["target_mask"])
    return part


def test_least_squares_finds_the_weights_that_made_the_data() -> None:
    shared, by_channel = torch.randn(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    by_channel[..., TERMS:] = torch.randn(2, LENGTHS, RELATED)
    parts = [batch(seed, shared, by_channel) for seed in range(4)]
    head = ImputationHead(torch.zeros(LENGTHS, DISTANCES, TERMS), 2, RELATED)
    solve_imputation(head, parts[:3], parts[3:])
    errors = (head(parts[3]["tokens"]) + parts[3]["line"] - parts[3]["target_values"]).square().mean()
    assert errors < 0.01 * (parts[3]["line"] - parts[3]["target_values"]).square().mean()


def test_a_class_keeps_its_start_where_validation_knows_nothing_better() -> None:
    start = torch.randn(LENGTHS, DISTANCES, TERMS)
    none = torch.zeros(2, LENGTHS, TERMS + RELATED)
    right = batch(0, start, none)
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(1, -start, none)], [right])
    assert torch.allclose(head.shared, start)


def test_half_of_the_way_is_taken_where_validation_says_so() -> None:
    start, none = torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    learned = torch.randn(LENGTHS, DISTANCES, TERMS, generator=torch.Generator().manual_seed(1))
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(1, learned, none)], [batch(2, 0.5 * learned, none)])
    assert torch.allclose(head.shared, 0.5 * learned, atol=1e-3)


def test_what_holds_in_every_training_period_is_learned_and_what_held_once_is_not() -> None:
    start, none = torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    always, once = none.clone(), none.clone()
    always[1, :, TERMS], once[0, :, TERMS] = 1.0, 3.0
    parts = [batch(seed, start, always + (once if seed == 3 else none)) for seed in range(12)]
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, parts, [silent_batch(12)])  # periods of training alone have a say
    assert torch.allclose(head.by_channel[1, :, TERMS], torch.ones(LENGTHS), atol=0.05)
    assert (head.by_channel[0, :, TERMS].abs() < 0.05).all()


@pytest.mark.parametrize("right", [0.0, 1.0])  # the straight line; the start
def test_what_needs_no_solution_is_compared_in_training_where_nothing_is_held_out(right: float) -> None:
    start, none = torch.ones(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(seed, right * start, none) for seed in (0, 1)], [silent_batch(2)])
    assert torch.equal(head.shared, right * start)
    assert torch.equal(head.by_channel, none)


def test_a_few_steps_of_validation_do_not_choose_a_solution() -> None:
    start, none = torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    learned = torch.full((LENGTHS, DISTANCES, TERMS), 0.4)  # nearer to the start than to any term by itself
    validation = batch(2, learned, none)
    validation["target_mask"][:, :, 8:] = 0  # about 16 hidden steps of each class
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(0, learned, none)], [validation])
    assert torch.equal(head.shared, start)


def test_three_training_periods_are_left_out_in_turn() -> None:
    start, none = torch.zeros(LENGTHS, DISTANCES, TERMS), torch.zeros(2, LENGTHS, TERMS + RELATED)
    learned = torch.randn(LENGTHS, DISTANCES, TERMS, generator=torch.Generator().manual_seed(1))
    head = ImputationHead(start, 2, RELATED)
    solve_imputation(head, [batch(seed, learned, none) for seed in range(3)], [silent_batch(3)])
    assert torch.allclose(head.shared, learned, atol=1e-3)


def test_nothing_hidden_is_refused() -> None:
    start = torch.zeros(LENGTHS, DISTANCES, TERMS)
    with pytest.raises(InputError, match="observed steps to hide"):
        solve_imputation(ImputationHead(start, 2, RELATED), [silent_batch(0)], [silent_batch(1)])
    with pytest.raises(InputError, match="related"):
        ImputationHeadConfig(-1)
