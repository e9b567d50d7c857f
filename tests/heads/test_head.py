"""What counts as a head, and what protocols may be asked of modules."""

import inspect

import pytest
from torch import nn
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


def test_other_modules_are_none() -> None:
    lacks_output = nn.Module()
    lacks_output.reduce = lambda tokens: tokens  # type: ignore[assignment]
    assert not is_head(lacks_output) and not is_head(nn.Linear(2, 2)) and not is_head(None)
    lacks_output.output = nn.Linear(2, 2)
    assert is_head(lacks_output)


@pytest.mark.parametrize("protocol", [ZeroShotForecaster, MaskedBackbone, BlockwiseBackbone])
def test_protocols_see_all_members_of_a_backbone(protocol: type) -> None:
    backbone = tiny_backbone()
    for member in get_protocol_members(protocol):  # Python 3.12 and later look there, and not at submodules
        inspect.getattr_static(backbone, member)
    assert isinstance(backbone, protocol)
