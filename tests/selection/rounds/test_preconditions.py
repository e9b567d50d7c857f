"""What the last step would refuse is refused before the first."""

from collections.abc import Iterator
from typing import Any

import peft
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from tests.selection.rounds.selection_runs import begin
from tests.selection.toys import lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.rounds.preconditions import check_trained


def with_spare_adapter() -> peft.PeftModel:
    model = lora_forecaster()
    model.add_adapter("spare", peft.LoraConfig(r=1, target_modules=["up"]))
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (with_spare_adapter, r"Layer 'blocks\.0\.up' also holds the adapter 'spare', which is not active"),
        (lambda: lora_forecaster(bias="lora_only"), "bias='lora_only': the biases of layers whose modules are deleted"),
    ],
)
def test_what_could_not_be_deleted_without_a_loss_is_refused(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        begin(Gates(model()), [])
    begin(Gates(model()), [], delete_closed=False)
    gates = Gates(model())
    gates.close(["blocks.0.up"])
    with pytest.raises(InputError, match=message):
        gates.delete_closed()


@pytest.mark.parametrize("initialisation", ["pissa", "pissa_niter_2", "olora"])
def test_base_weights_that_an_initialisation_changed_are_refused(initialisation: str) -> None:
    gates = Gates(lora_forecaster(init_lora_weights=initialisation))
    for delete in (True, False):
        with pytest.raises(InputError, match=f"found init_lora_weights='{initialisation}'"):
            begin(gates, [], delete_closed=delete)


@pytest.fixture
def one_process(tmp_path: Any) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_processes_that_wait_for_closed_modules_are_refused() -> None:
    for options in ({}, {"static_graph": True, "find_unused_parameters": True}):
        with pytest.raises(InputError, match="ddp_find_unused_parameters=True"):
            begin(Gates(DistributedDataParallel(lora_forecaster(), **options)), [])
    begin(Gates(DistributedDataParallel(lora_forecaster(), find_unused_parameters=True)), [])


def test_modules_that_the_optimizer_does_not_know_are_refused() -> None:
    model = lora_forecaster()
    gates = Gates(model)
    gates.close(["blocks.0.up"])
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    with pytest.raises(InputError, match=r"'blocks\.0\.up' was closed when the optimizer was built"):
        check_trained(gates.layers, gates.closed_names, optimizer)
    check_trained(gates.layers, [], optimizer)
