import pytest
import torch
from torch import Tensor, nn

from tests.selection.toys import forecast_batches, lora_forecaster
from tracetune.selection.estimates.replicates import replicates
from tracetune.selection.gates import Gates
from tracetune.selection.validation import batch_size


def mean(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch)["loss"]


def spread(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Rows interact: the standard deviation over the rows is part of the loss."""
    return model(**batch)["sample_losses"].std(correction=0)


def test_few_batches_are_split_into_eight_parts_that_hold_every_row_once() -> None:
    gates, batches = Gates(lora_forecaster().eval()), forecast_batches((10, 10, 7))
    parts = list(replicates(gates, batches, mean))
    assert [part.samples for part in parts] == [3, 3, 4, 3, 3, 4, 2, 2, 3]
    assert all(batch_size(part.batch) == part.samples for part in parts)
    assert torch.equal(torch.cat([part.batch["x"] for part in parts]), torch.cat([batch["x"] for batch in batches]))
    assert sum(part.share for part in parts) == pytest.approx(3)
    assert sum(part.passes for part in parts) == 2


def test_batches_stay_whole_where_rows_interact_or_there_are_enough() -> None:
    gates = Gates(lora_forecaster().eval())
    few = list(replicates(gates, forecast_batches((10, 8)), spread))
    assert [(part.samples, part.share, part.passes) for part in few] == [(10, 1, 2), (8, 1, 0)]
    many = list(replicates(gates, iter(forecast_batches((3,) * 11)), spread))
    assert [(part.samples, part.share, part.passes) for part in many] == [(3, 1, 0)] * 11
    assert [part.samples for part in replicates(gates, forecast_batches((1,)), mean)] == [1]


def test_a_model_that_does_not_take_parts_gets_whole_batches() -> None:
    def fixed_size(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return (model(**batch)["sample_losses"] * torch.ones(10)).mean()

    assert len(list(replicates(Gates(lora_forecaster().eval()), forecast_batches((10,)), fixed_size))) == 1
