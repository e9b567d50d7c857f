"""Gradients on the user's own steps: the transpose of resampling, and the slope of the logit."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, tiny_backbone
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.tasks.classification.attribution import attribution, resampled_gradients
from tracetune.tasks.classification.model import Classification
from tracetune.tasks.classification.scales import resampled


@pytest.mark.parametrize("length", [1, 2, 9, 32, 33, 200])
def test_attributions_add_up_to_the_slope_along_the_series(length: int) -> None:
    rng = np.random.default_rng(length)
    series, gradient = rng.normal(size=(2, length)), rng.normal(size=(2, 32))
    centred = series - series.mean(axis=1, keepdims=True)
    found = attribution(series, gradient)
    assert found.shape == series.shape
    expected = (resampled([centred], 32)[0].astype(float) * gradient).sum(axis=1)
    np.testing.assert_allclose(found.sum(axis=1), expected, atol=1e-5)


def test_gradients_are_slopes_of_the_logit_of_the_class() -> None:
    torch.manual_seed(0)
    model: torch.nn.Module = Classification(3, 1, CONTEXT).model(
        tiny_backbone(), ClassificationHeadConfig(scales=(1.0,))
    )
    values = torch.randn(2, 1, CONTEXT, generator=torch.Generator().manual_seed(1))
    gradient = resampled_gradients(model, values, torch.tensor([2, 0]))
    assert gradient.shape == (2, 1, CONTEXT)
    assert np.abs(gradient).min(axis=2).max() > 0
    missing = attribution(np.array([[1.0, np.nan, 3.0]]), np.ones((1, 3)))
    np.testing.assert_allclose(missing, [[-1.0, np.nan, 1.0]])
