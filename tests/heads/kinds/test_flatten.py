import torch
from momentfm.models.moment import ForecastingHead

from tracetune.heads.kinds.flatten import FlattenHead


def test_it_equals_the_forecasting_head_of_momentfm_in_evaluation_mode():
    torch.manual_seed(0)
    theirs = ForecastingHead(head_nf=6 * 8, forecast_horizon=5, head_dropout=0.1).eval()
    ours = FlattenHead(num_patches=6, width=8, prediction_length=5).eval()
    ours.output.load_state_dict(theirs.linear.state_dict())
    tokens = torch.randn(3, 2, 6, 8)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=0, atol=0)


def test_the_forecast_is_one_matrix_product_over_patches_and_width():
    torch.manual_seed(0)
    head = FlattenHead(num_patches=4, width=3, prediction_length=2).eval()
    tokens = torch.randn(5, 4, 3)
    weight = head.output.weight.reshape(2, 4, 3)
    torch.testing.assert_close(head(tokens), torch.einsum("bnd,hnd->bh", tokens, weight) + head.output.bias)


def test_the_first_forecast_is_the_mean_of_the_series_to_within_two_percent_of_its_deviation():
    torch.manual_seed(0)
    head = FlattenHead(num_patches=64, width=128, prediction_length=96).eval()
    forecast = head(torch.randn(200, 64, 128))
    assert 0.018 < forecast.std().item() < 0.022
    assert head.output.bias.abs().max() == 0


def test_dropout_acts_on_the_features_and_not_on_the_forecast():
    torch.manual_seed(0)
    head = FlattenHead(num_patches=8, width=16, prediction_length=64, dropout=0.5).train()
    forecast = head(torch.ones(32, 8, 16))
    assert (forecast == 0).sum() == 0
    assert not torch.equal(forecast[0], forecast[1])
