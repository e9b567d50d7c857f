"""Heads are known by their parts, and protocols that are asked of backbones see all their members."""

import inspect

import pytest
from torch import Tensor, nn
from typing_extensions import get_protocol_members

from tests.tiny import tiny_backbone
from tracetune.backbones.backbone import BlockwiseBackbone, MaskedBackbone, ZeroShotForecaster
from tracetune.heads.build import build_head
from tracetune.heads.config import HeadConfig
from tracetune.heads.head import is_head
from tracetune.heads.kinds.kind import HEADS


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_every_kind_is_a_head(kind: str) -> None:
    assert is_head(build_head(HeadConfig(kind), 4, 32, 6))


class Reducing(nn.Module):
    def reduce(self, tokens: Tensor) -> Tensor:
        return tokens


def test_other_modules_are_none() -> None:
    module = Reducing()
    assert not is_head(module) and not is_head(nn.Linear(2, 2)) and not is_head(None)
    module.output = nn.Linear(2, 2)
    assert is_head(module)


@pytest.mark.parametrize("protocol", [ZeroShotForecaster, MaskedBackbone, BlockwiseBackbone])
def test_protocols_see_all_members_of_a_backbone(protocol: type) -> None:
    backbone = tiny_backbone()
    for member in get_protocol_members(protocol):  # Python 3.12 and later look there, and not at submodules
        inspect.getattr_static(backbone, member)
    assert isinstance(backbone, protocol)
