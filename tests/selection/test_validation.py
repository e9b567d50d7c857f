from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from tests.selection.toys import forecast_batches, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.validation import batch_size, chosen_rows, mean_loss, model_loss, on_device


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


@pytest.mark.parametrize(
    "batch",
    [
        {"x": torch.arange(12).view(6, 2), "of all": torch.arange(3)},
        (torch.arange(6), [torch.ones(6, 1)]),
        Pair(torch.ones(6), torch.ones(6, 2)),
    ],
)
def test_the_chosen_rows_are_those_of_every_tensor_that_has_a_row_a_sample(batch: Any) -> None:
    few = chosen_rows(batch, slice(4))
    assert batch_size(few) == 4 and type(few) is type(batch)
    assert batch_size(chosen_rows(batch, slice(9))) == 6


def test_what_is_not_by_sample_stays_whole() -> None:
    batch = {"x": torch.arange(12).view(6, 2), "scale": torch.tensor(2.0), "of all": torch.arange(3), "name": "a"}
    few = chosen_rows(batch, slice(2))
    torch.testing.assert_close(few["x"], batch["x"][:2])
    assert few["of all"] is batch["of all"] and few["scale"] is batch["scale"] and few["name"] == "a"


def test_losses_are_means_over_samples_not_over_batches() -> None:
    model, batches = lora_forecaster().eval(), forecast_batches((5, 2))
    losses = torch.cat([model_loss(model, batch).detach().expand(batch_size(batch)) for batch in batches])
    assert mean_loss(model, batches) == pytest.approx(float(losses.mean()), rel=1e-6)


def test_no_batches_and_no_tensors_are_refused() -> None:
    with pytest.raises(InputError, match="at least one validation batch"):
        list(on_device(lora_forecaster(), []))
    with pytest.raises(InputError, match="tensors in a batch, found dict without any"):
        batch_size({"x": 1})


def test_weights_that_change_while_they_are_measured_are_refused() -> None:
    model = torch.nn.Linear(2, 1)
    batch = {"x": torch.ones(3, 2)}

    def decaying(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        with torch.no_grad():
            model.weight.mul_(0.9)
        return model(batch["x"]).square().mean()

    with pytest.raises(InputError, match=r"1 changed \(first: 'weight'\)"):
        mean_loss(model, [batch], decaying)
    assert mean_loss(model, [batch], lambda model, batch: model(batch["x"]).square().mean()) > 0
    model.weight.requires_grad_(False).zero_()  # outside, they may
