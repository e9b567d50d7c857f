"""Heads on tokens of the future: they begin with the forecast that the backbone makes by itself."""

import pytest
import torch

from tests.tiny import HORIZON, tiny_backbone
from tracetune.base.errors import InputError
from tracetune.heads.build import build_head
from tracetune.heads.config import HeadConfig
from tracetune.heads.zero_shot_start import start_at_zero_shot
from tracetune.tasks.forecasting.model import ForecastModel

CONTEXT, WIDTH, PATCH = 64, 16, 8


def zero_shot_forecast(past: torch.Tensor, horizon: int) -> torch.Tensor:
    return tiny_backbone().forecast(past, None, horizon)


@pytest.mark.parametrize("tokens", ["all", "future"])
@pytest.mark.parametrize(("kind", "beta"), [("flatten", 1), ("projection", 1), ("projection", 2), ("convolution", 2)])
@pytest.mark.parametrize("horizon", [HORIZON, 3, 32])
def test_the_first_forecast_is_the_backbones_own(kind: str, beta: int, tokens: str, horizon: int) -> None:
    past = torch.randn(3, 2, CONTEXT).cumsum(-1)
    model = ForecastModel.from_backbone(tiny_backbone(), horizon, HeadConfig(kind, beta, tokens=tokens)).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(past).forecast, zero_shot_forecast(past, horizon), rtol=1e-4, atol=1e-4)
    assert model.kept_directions == PATCH


def test_a_projection_that_is_too_narrow_starts_from_random_weights() -> None:
    head = build_head(HeadConfig("projection", beta=4), 8, WIDTH, HORIZON)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    assert not start_at_zero_shot(head, tiny_backbone().token_to_patch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())
    model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("projection", beta=4, tokens="all"))
    assert model.kept_directions is None


def test_pooling_keeps_its_random_start() -> None:
    assert not start_at_zero_shot(
        build_head(HeadConfig("pooling", beta=2), 8, WIDTH, HORIZON), tiny_backbone().token_to_patch
    )


def test_auto_reads_future_tokens_where_the_horizon_fits_in_one_pass() -> None:
    config = HeadConfig("flatten", tokens="auto")
    assert ForecastModel.from_backbone(tiny_backbone(), HORIZON, config).head_tokens == "future"
    assert ForecastModel.from_backbone(tiny_backbone(), CONTEXT, config).head_tokens == "context"
    with pytest.raises(InputError, match="in one pass"):
        ForecastModel.from_backbone(tiny_backbone(), CONTEXT, HeadConfig("flatten", tokens="all"))


def test_heads_on_the_context_do_not_see_hidden_patches() -> None:
    past = torch.randn(3, 1, CONTEXT).cumsum(-1)
    model = ForecastModel.from_backbone(tiny_backbone(), HORIZON, HeadConfig("flatten")).eval()
    expected, _ = tiny_backbone().encode(past)
    torch.testing.assert_close(model.encode(past)[0], expected)


def test_unknown_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="tokens"):
        HeadConfig("flatten", tokens="past")
