import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.heads.build import build_head, head_parameters
from tracetune.heads.config import HeadConfig
from tracetune.heads.kinds import HEADS

CONFIGS = [HeadConfig(kind, beta=4 if HEADS[kind].reduces else 1) for kind in HEADS]


@st.composite
def settings_that_fit(draw):
    kind = draw(st.sampled_from(sorted(HEADS)))
    beta = draw(st.integers(1, 8)) if HEADS[kind].reduces else 1
    patches = draw(st.integers(beta, 40))
    width = beta * draw(st.integers(1, 12))
    return HeadConfig(kind, beta), patches, width, draw(st.integers(1, 50))


def weights_of_the_paper(kind, n, d, h, beta):
    reduced = d // beta
    return {
        "flatten": n * d * h,
        "projection": d * reduced + n * reduced * h,
        "convolution": 3 * d + d * reduced + n * reduced * h,
        "pooling": -(-n // beta) * d * h,
    }[kind]


@settings(deadline=None)
@given(settings_that_fit())
def test_weights_and_biases_are_counted_as_stated(setting):
    config, patches, width, horizon = setting
    parameters = dict(build_head(config, patches, width, horizon).named_parameters())
    weights = sum(p.numel() for name, p in parameters.items() if name.endswith("weight"))
    biases = sum(p.numel() for name, p in parameters.items() if name.endswith("bias"))
    assert weights == head_parameters(config, patches, width, horizon)
    assert weights == weights_of_the_paper(config.kind, patches, width, horizon, config.beta)
    assert biases == horizon
    assert weights + biases == sum(p.numel() for p in parameters.values())


def test_the_counts_of_moment_base_at_720_steps():
    assert head_parameters(HeadConfig(), 64, 768, 720) == 35_389_440
    assert head_parameters(HeadConfig("projection", beta=8), 64, 768, 720) == 768 * 96 + 64 * 96 * 720


@settings(deadline=None)
@given(settings_that_fit(), st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 2)]))
def test_any_leading_dimensions_come_out_again(setting, leading):
    config, patches, width, horizon = setting
    torch.manual_seed(0)
    head = build_head(config, patches, width, horizon).eval()
    tokens = torch.randn(*leading, patches, width)
    forecast = head(tokens)
    assert forecast.shape == (*leading, horizon)
    flat = head(tokens.reshape(-1, patches, width))
    torch.testing.assert_close(forecast.reshape(-1, horizon), flat, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_every_head_learns_a_linear_map_of_the_pooled_tokens(config):
    torch.manual_seed(0)
    tokens = torch.randn(256, 8, 8)
    target = tokens.mean(dim=(1, 2), keepdim=True)[..., 0] * torch.tensor([10.0, -10.0, 5.0])
    head = build_head(config, 8, 8, 3)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    head.eval()  # no dropout: the map can be learned exactly
    for _ in range(300):
        loss = torch.nn.functional.mse_loss(head(tokens), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3 * target.var().item()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_the_first_step_sends_a_gradient_to_the_tokens(config):
    torch.manual_seed(0)
    tokens = torch.randn(2, 8, 8, requires_grad=True)
    build_head(config, 8, 8, 3)(tokens).sum().backward()
    assert tokens.grad.abs().sum() > 0


def test_an_unknown_head_suggests_the_nearest():
    with pytest.raises(InputError, match=r"Unknown head 'projecton'. Did you mean 'projection'"):
        HeadConfig("projecton")


@pytest.mark.parametrize("beta", [0, -2, 2.0, True, "4"])
def test_a_beta_that_is_no_whole_number_above_zero_is_refused(beta):
    with pytest.raises(InputError, match=f"whole number of at least 1, found {re.escape(repr(beta))}"):
        HeadConfig("projection", beta=beta)


def test_the_linear_probe_takes_no_beta():
    with pytest.raises(InputError, match=r"'flatten' keeps all features.*pooling, projection, convolution"):
        HeadConfig("flatten", beta=8)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_outside_zero_to_one_is_refused(dropout):
    with pytest.raises(InputError, match="dropout in"):
        HeadConfig(dropout=dropout)


@pytest.mark.parametrize("call", [build_head, head_parameters])
def test_sizes_below_one_and_betas_that_do_not_fit_are_refused_when_the_sizes_are_known(call):
    with pytest.raises(InputError, match="prediction_length of at least 1, found 0"):
        call(HeadConfig(), 4, 8, 0)
    with pytest.raises(InputError, match="divide the backbone's width D = 8, found 3"):
        call(HeadConfig("projection", beta=3), 4, 8, 2)


def test_a_configuration_comes_from_a_mapping():
    assert from_mapping(HeadConfig, {"kind": "pooling", "beta": 2}) == HeadConfig("pooling", 2, 0.1)
