"""Devices by name."""

import pytest
import torch

from tracetune.base.device import resolve_device, supports_bf16
from tracetune.base.errors import InputError


def test_auto_gives_a_device_that_works() -> None:
    assert torch.zeros(1, device=resolve_device()).item() == 0


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InputError, match="found 'gpu9'"):
        resolve_device("gpu9")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_is_reported() -> None:
    for name in ("cuda", "cuda:1"):
        with pytest.raises(InputError, match=f"Device '{name}' was asked for, but PyTorch finds no such device here"):
            resolve_device(name)


@pytest.mark.parametrize("name", ["mps", "xpu", "hpu", "meta", 5, None])
def test_devices_of_other_machines_are_reported(name: object) -> None:
    with pytest.raises(InputError, match=r"Use 'cpu'|such as 'cpu'"):
        resolve_device(name)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_on_a_gpu_follows_its_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert supports_bf16("cuda:0") is expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True}, True),
        ({"architecture": "x86_64", "amx_bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, False),
    ],
)
def test_bfloat16_on_a_cpu_follows_its_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert supports_bf16("cpu") is expected


def test_the_older_questions_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for bf16, amx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=bf16: answer, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda answer=amx: answer, raising=False)
        assert supports_bf16("cpu") is (bf16 or amx)


def test_nothing_is_claimed_of_other_devices() -> None:
    assert not supports_bf16("mps")
