import peft
import pytest
import torch
from torch import Tensor, nn

from tests.selection.toys import forecast_batches, game, lora_forecaster, ones
from tracetune.selection.estimates.row_independence import INDEPENDENCE_PASSES, rows_independent
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.validation import LossFunction, model_loss


def losses_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch)["sample_losses"]


def centred(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    losses = losses_of(model, batch)
    return losses - losses.mean()


def grouped(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Row 0 is alone; the others share their losses in pairs."""
    losses = losses_of(model, batch)
    pairs = losses[1:].view(-1, 2)
    return torch.cat([losses[:1], ((pairs + pairs.flip(1)) / 2).flatten()])


def last_two(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The last row takes part in the loss of the one before it."""
    losses = losses_of(model, batch)
    return torch.cat([losses[:-2], losses[-2:-1] + losses[-1:], losses[-1:]])


def scaled_by_a_constant_of_the_batch(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """No gradient passes between rows, but values do."""
    losses = losses_of(model, batch)
    return losses / losses.mean().detach()


def mean(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch)["loss"]


def test_rows_that_keep_to_themselves_are_independent() -> None:
    for size in (1, 2, 6, 33):
        assert rows_independent(Gates(lora_forecaster().eval()), forecast_batches((size,))[0], losses_of)


@pytest.mark.parametrize("loss_fn", [centred, grouped, last_two, scaled_by_a_constant_of_the_batch, mean])
def test_rows_that_interact_are_found_out(loss_fn: LossFunction) -> None:
    assert not rows_independent(Gates(lora_forecaster().eval()), forecast_batches((9,))[0], loss_fn)


def test_interacting_rows_are_scored_by_masks_per_batch() -> None:
    """Pairs of rows whose losses are products: with masks per sample the score would be that of mixed masks."""

    def squares(gates: Tensor) -> Tensor:
        return 5 - 2 * gates[:, 0]

    def loss_fn(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        losses = losses_of(model, batch)
        pairs = losses[1:].view(-1, 2)
        return torch.cat([losses[:1], pairs.prod(1).sqrt().repeat_interleave(2)])

    result = score_modules(game(2, squares), ones(9, 4), loss_fn)
    assert result.forward_equivalents >= INDEPENDENCE_PASSES + 4 * 8 * 3
    assert result.scores == pytest.approx([2.0, 0.0], abs=1e-5)


def test_rows_that_are_not_samples_are_noticed() -> None:
    """A layer over [N, R, D], time first: N = 6 is even a multiple of B = 6."""

    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"sample_losses": self.mix(x.transpose(0, 1)).square().mean(dim=(0, 2))}

    model = peft.get_peft_model(TimeFirst(), peft.LoraConfig(target_modules=["mix"], init_lora_weights=False))
    for steps in (6, 7):
        assert not rows_independent(Gates(model), {"x": torch.randn(6, steps, 3)}, model_loss)
