import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.heads.kinds.pooling import PoolingHead
from tracetune.heads.kinds.projection import ConvolutionHead, ProjectionHead


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(4, 7, 8, generator=torch.Generator().manual_seed(1))


def test_projection_reduces_each_token_before_the_linear_probe(tokens):
    head = ProjectionHead(7, 8, 3, beta=4).eval()
    reduced = torch.einsum("bnd,ed->bne", tokens, head.down.weight)
    weight = head.output.weight.reshape(3, 7, 2)
    torch.testing.assert_close(head(tokens), torch.einsum("bne,hne->bh", reduced, weight))


def test_a_projection_with_beta_one_can_be_the_linear_probe(tokens):
    head = ProjectionHead(7, 8, 3, beta=1).eval()
    torch.nn.init.eye_(head.down.weight)
    torch.testing.assert_close(head(tokens), head.output(tokens.flatten(-2)))


def test_the_down_projection_starts_with_orthonormal_rows():
    down = ProjectionHead(4, 16, 2, beta=4).down.weight
    torch.testing.assert_close(down @ down.T, torch.eye(4))


def test_a_new_convolution_head_is_a_projection_head(tokens):
    convolution = ConvolutionHead(7, 8, 3, beta=2).eval()
    projection = ProjectionHead(7, 8, 3, beta=2).eval()
    projection.load_state_dict({k: v for k, v in convolution.state_dict().items() if not k.startswith("depthwise")})
    torch.testing.assert_close(convolution(tokens), projection(tokens))


def test_the_convolution_filters_each_feature_along_the_patches(tokens):
    head = ConvolutionHead(7, 8, 3, beta=2).eval()
    torch.nn.init.normal_(head.depthwise.weight)
    kernel = head.depthwise.weight[:, 0]  # [D, 3]
    padded = torch.nn.functional.pad(tokens, (0, 0, 1, 1))
    filtered = sum(padded[:, tap : tap + 7] * kernel[:, tap] for tap in range(3))
    torch.testing.assert_close(head(tokens), head.output(head.down(filtered).flatten(-2)), rtol=1e-4, atol=1e-6)


def test_pooling_averages_neighbouring_patches_and_the_rest_on_its_own(tokens):
    head = PoolingHead(7, 8, 3, beta=3).eval()
    pooled = torch.stack([tokens[:, 0:3].mean(1), tokens[:, 3:6].mean(1), tokens[:, 6]], dim=1)
    torch.testing.assert_close(head(tokens), head.output(pooled.flatten(-2)))


def test_pooling_by_one_is_the_linear_probe(tokens):
    head = PoolingHead(7, 8, 3, beta=1).eval()
    torch.testing.assert_close(head(tokens), head.output(tokens.flatten(-2)))


@pytest.mark.parametrize("head_class", [ProjectionHead, ConvolutionHead])
def test_a_beta_that_does_not_divide_the_width_is_refused(head_class):
    with pytest.raises(InputError, match="divide the backbone's width D = 8, found 3"):
        head_class(7, 8, 2, beta=3)


def test_a_beta_above_the_number_of_patches_is_refused_by_pooling():
    with pytest.raises(InputError, match="at most the number of patches N = 7, found 8"):
        PoolingHead(7, 8, 2, beta=8)
