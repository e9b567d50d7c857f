"""Remembered prefixes change no loss and no gradient, run no block twice, and are never stale."""

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from torch import Tensor, nn

from tests.tiny import CONTEXT, HORIZON
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.backbone import frozen_blocks
from tracetune.backbones.moment import Moment, MomentConfig
from tracetune.data.windows import Windows
from tracetune.heads.config import HeadConfig
from tracetune.selection.gates import Gates
from tracetune.tasks.forecasting.model import ForecastModel
from tracetune.training.prefix_cache import PrefixCache
from tracetune.training.storage import Storage

BLOCKS, STATE_BYTES = 3, 8 * 16 * 4  # N D float32


def adapted(head: bool = True, dropout: float = 0.0) -> ForecastModel:
    """A forecast model of three blocks; :func:`with_lora` gives it adapters that do something."""
    torch.manual_seed(0)
    t5_config = {
        "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": BLOCKS, "num_heads": 2,
        "feed_forward_proj": "gated-gelu", "dropout_rate": dropout,
    }  # fmt: skip
    backbone = Moment(MomentConfig(t5_config=t5_config, seq_len=CONTEXT, patch_len=8, partial_patches="fill"))
    return ForecastModel.from_backbone(backbone, HORIZON, HeadConfig("projection", beta=2) if head else None).eval()


def with_lora(model: ForecastModel) -> PeftModel:
    torch.manual_seed(4)
    peft_model = add_lora(model, LoraOptions())
    generator = torch.Generator().manual_seed(1)
    for name, parameter in peft_model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    return peft_model


@pytest.fixture(scope="module")
def windows() -> Windows:
    series = torch.randn(2, 130, generator=torch.Generator().manual_seed(2)).cumsum(1).numpy()
    return Windows([series], CONTEXT, HORIZON)


def open_from(gates: Gates, lowest: int) -> None:
    gates.set_open([name for name in gates.names if int(name.split("block.")[1].split(".")[0]) >= lowest])


def loss_and_gradients(model: nn.Module, batch: dict[str, Tensor]) -> list[Tensor]:
    model.zero_grad(set_to_none=True)
    torch.manual_seed(3)  # dropout above the prefix
    loss = model.train()(**batch).loss
    if loss.requires_grad:
        loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def assert_same_as_without(
    windows: Windows, visits: Sequence[tuple[int, list[int]]], storage: Storage, head: bool = True, dropout: float = 0
) -> PrefixCache:
    """Visit windows with modules open from a block on, with and without a cache."""
    plain, base = adapted(head, dropout), adapted(head, dropout)
    cache = PrefixCache(base.backbone, storage)
    indexed = cache.indexed(windows)
    reference, model = with_lora(plain), with_lora(base)
    gates = Gates(reference), Gates(model)
    with cache.attached(base):
        for lowest, rows in visits:
            for each in gates:
                open_from(each, lowest)
            expected = loss_and_gradients(reference, windows.__getitems__(rows))
            found = loss_and_gradients(model, indexed.__getitems__(rows))
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    return cache


ROWS = [5, 0, 17]


@pytest.mark.parametrize("head", [True, False])
def test_losses_and_gradients_are_those_without_a_cache_when_modules_close_and_open_again(
    windows: Windows, head: bool
) -> None:
    cache = assert_same_as_without(windows, [(level, ROWS) for level in (0, 1, 2, 2, 1, 2, 3)], Storage(), head)
    # per window: 1; 1 to 2; none; block 0 again, since depth 2 is too deep; 1 to 2; 2 to 3
    assert cache.computed == len(ROWS) * (1 + 1 + 0 + 1 + 1 + 1)
    assert cache.reused == len(ROWS) * (0 + 1 + 2 + 0 + 1 + 2)


@settings(max_examples=15)
@given(
    visits=st.lists(
        st.tuples(st.integers(0, BLOCKS), st.lists(st.integers(0, 20), min_size=1, max_size=5)), min_size=1, max_size=6
    ),
    room=st.integers(0, 12),
)
def test_any_order_of_visits_within_any_room_gives_the_same(
    windows: Windows, tmp_path_factory: pytest.TempPathFactory, visits: list[tuple[int, list[int]]], room: int
) -> None:
    storage = Storage(room * STATE_BYTES, memory=room // 2 * STATE_BYTES, folder=tmp_path_factory.mktemp("cache"))
    assert_same_as_without(windows, visits, storage)


def test_frozen_blocks_have_no_dropout_and_the_blocks_above_keep_theirs(windows: Windows) -> None:
    cache = assert_same_as_without(windows, [(2, ROWS), (2, ROWS)], Storage(), dropout=0.3)
    assert cache.reused == 2 * len(ROWS)


def test_nothing_is_differentiated_below_the_lowest_open_module(windows: Windows) -> None:
    base = adapted()
    model = with_lora(base)
    open_from(Gates(model), 2)
    seen: list[bool] = []
    for block in base.backbone.blocks:
        block.register_forward_hook(lambda module, args, output: seen.append(output[0].requires_grad))
    model.train()(**windows.__getitems__(ROWS))
    assert seen == [False, False, True]
    assert frozen_blocks(base.backbone.blocks) == 2


def test_states_are_forgotten_once_a_base_weight_has_been_written_to(windows: Windows) -> None:
    base = adapted()
    cache = PrefixCache(base.backbone, Storage())
    indexed = cache.indexed(windows)
    model = with_lora(base)
    open_from(Gates(model), 2)
    with cache.attached(base), torch.no_grad():
        before = model(**indexed.__getitems__(ROWS)).loss
        base.backbone.patch_embedding.value_embedding.weight.mul_(1.5)
        after = model(**indexed.__getitems__(ROWS)).loss
    assert after != before
    torch.testing.assert_close(after, model(**windows.__getitems__(ROWS)).loss)


def test_windows_of_two_data_sets_are_kept_apart(windows: Windows) -> None:
    other = Windows([-array + 3 for array in windows.values], CONTEXT, HORIZON)
    base = adapted().requires_grad_(False)
    cache = PrefixCache(base.backbone, Storage())
    parts = cache.indexed(windows), cache.indexed(other)
    with cache.attached(base), torch.no_grad():
        for _ in range(2):
            for plain, part in zip((windows, other), parts, strict=True):
                expected = copy.deepcopy(base)
                expected.backbone.prefix = None
                found = base(**part.__getitems__(ROWS)).sample_losses
                torch.testing.assert_close(found, expected(**plain.__getitems__(ROWS)).sample_losses)
    assert cache.reused == 2 * BLOCKS * len(ROWS)


def test_gated_passes_over_plain_batches_know_nothing_of_the_cache(windows: Windows) -> None:
    base = adapted()
    cache = PrefixCache(base.backbone, Storage())
    indexed = cache.indexed(windows)
    model = with_lora(base)
    gates = Gates(model)
    open_from(gates, 2)
    with cache.attached(base), torch.no_grad():
        model(**indexed.__getitems__(ROWS))
        with gates.apply(torch.ones(gates.M)):
            all_open = model(**windows.__getitems__(ROWS)).loss
            indexed_too = model(**indexed.__getitems__(ROWS)).loss
    open_from(gates, 0)
    with torch.no_grad():
        torch.testing.assert_close(all_open, model(**windows.__getitems__(ROWS)).loss)
    torch.testing.assert_close(indexed_too, all_open)


def test_half_precision_halves_the_room_and_stays_close(windows: Windows, tmp_path: Path) -> None:
    base = adapted().requires_grad_(False)
    cache = PrefixCache(base.backbone, Storage(len(ROWS) * STATE_BYTES // 2), torch.bfloat16)
    indexed = cache.indexed(windows)
    with cache.attached(base), torch.no_grad():
        exact, rounded = (base(**indexed.__getitems__(ROWS)).loss for _ in range(2))
    assert cache.reused == BLOCKS * len(ROWS)
    assert rounded != exact
    torch.testing.assert_close(rounded, exact, rtol=2e-2, atol=0)


def test_room_for_some_windows_only_is_said(windows: Windows, caplog: pytest.LogCaptureFixture) -> None:
    base = adapted().requires_grad_(False)
    cache = PrefixCache(base.backbone, Storage(2 * STATE_BYTES))
    indexed = cache.indexed(windows)
    with cache.attached(base), torch.no_grad(), caplog.at_level("WARNING"):
        for _ in range(2):
            base(**indexed.__getitems__(ROWS))
    assert f"room for 2 of {len(windows)} windows" in caplog.text
    assert cache.reused == 2 * BLOCKS


def test_nothing_is_remembered_of_patches_whose_embedding_trains(windows: Windows) -> None:
    base = adapted().requires_grad_(False)
    base.backbone.patch_embedding.requires_grad_(True)
    cache = PrefixCache(base.backbone, Storage())
    indexed = cache.indexed(windows)
    with cache.attached(base):
        for _ in range(2):
            base(**indexed.__getitems__(ROWS)).loss.backward()
    assert cache.computed == cache.reused == 0
    assert base.backbone.patch_embedding.value_embedding.weight.grad is not None
