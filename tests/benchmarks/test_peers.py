"""The peer has our weights and gives our losses; under PEFT its head and adapters train."""

import pytest
import torch
from benchmarks.peers import ALL_LINEAR, MomentfmForecaster, momentfm_lora, random_moment

from tests.tiny import CONTEXT, HORIZON, tiny_backbone
from tracetune.heads.config import HeadConfig
from tracetune.tasks.forecasting.model import ForecastModel

pytest.importorskip("momentfm", reason="the peer, installed with pip install --no-deps momentfm")


def windows() -> dict[str, torch.Tensor]:
    series = torch.randn(3, 1, CONTEXT + HORIZON).cumsum(-1)
    past, future = series.split([CONTEXT, HORIZON], dim=-1)
    return {
        "past_values": past,
        "input_mask": torch.ones_like(past),
        "future_values": future,
        "future_mask": torch.ones_like(future),
    }


def test_the_peer_gives_our_losses() -> None:
    ours = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("flatten")).eval()
    peer = MomentfmForecaster(tiny_backbone(), HORIZON).eval()
    assert ours.head is not None
    with torch.no_grad():
        for mine, theirs in zip(ours.head.parameters(), peer.moment.head.parameters(), strict=True):
            mine.copy_(theirs)
        batch = windows()
        torch.testing.assert_close(ours(**batch).sample_losses, peer(**batch)["sample_losses"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("targets", "rank", "layers"), [(ALL_LINEAR, 2, 14), (("q", "v"), 4, 4)])
def test_adapters_and_head_of_the_peer_train(targets: tuple[str, ...], rank: int, layers: int) -> None:
    model = momentfm_lora(tiny_backbone(), HORIZON, targets, rank)
    model.train()(**windows())["loss"].backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert sum("lora_A" in name for name in trained) == layers
    assert sum("head" in name for name in trained) == 2


def test_a_published_geometry_has_its_published_number_of_adapters() -> None:
    model = ForecastModel.from_backbone(random_moment("small"), HORIZON, None)
    assert sum(isinstance(module, torch.nn.Linear) for module in model.backbone.encoder.modules()) == 7 * 8
