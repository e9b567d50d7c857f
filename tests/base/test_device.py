"""Devices by name."""

import pytest
import torch

from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError


def test_auto_gives_a_device_that_works() -> None:
    assert torch.zeros(1, device=resolve_device()).item() == 0


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InputError, match="found 'gpu9'"):
        resolve_device("gpu9")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_is_reported() -> None:
    with pytest.raises(InputError, match="finds no GPU"):
        resolve_device("cuda")
