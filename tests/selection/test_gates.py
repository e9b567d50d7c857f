import copy
import os
from pathlib import Path

import peft
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from tests.selection.toys import Forecaster, forecast_batches, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.layers import adapter_parameters, lora_modules

NAMES = ("blocks.0.up", "blocks.0.down", "blocks.1.up", "blocks.1.down")


@pytest.fixture
def model() -> peft.PeftModel:
    return lora_forecaster().eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return forecast_batches((6,))[0]


def losses(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(**batch)["sample_losses"]


def test_names_are_those_of_the_base_model(model: peft.PeftModel) -> None:
    assert tuple(lora_modules(model)) == NAMES
    assert tuple(lora_modules(torch.compile(model, backend="eager"))) == NAMES
    injected = peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["up"]), Forecaster())
    assert tuple(lora_modules(injected)) == ("blocks.0.up", "blocks.1.up")


class Mixed(nn.Module):
    """One layer of every kind that PEFT adapts with LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.conv = nn.Conv1d(4, 4, 1)
        self.attention = nn.MultiheadAttention(4, 1)
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.conv(self.table(tokens).transpose(1, 2)).transpose(1, 2)
        return self.two(self.one(self.attention(hidden, hidden, hidden, need_weights=False)[0]))


def test_only_linear_lora_of_the_active_adapter_is_gated() -> None:
    targets = ["table", "conv", "attention", "one", "two"]
    model = peft.get_peft_model(Mixed(), peft.LoraConfig(target_modules=targets))
    assert tuple(lora_modules(model)) == ("one", "two")
    model.add_adapter("second", peft.LoraConfig(target_modules=["conv"]))
    model.set_adapter("second")
    assert lora_modules(model) == {}


def test_lora_of_other_layers_survives_a_deletion(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base, tokens = Mixed(), torch.randint(5, (3, 2))
    targets = ["table", "conv", "attention", "one", "two"]
    config = peft.LoraConfig(target_modules=targets, init_lora_weights=False)
    model = peft.get_peft_model(copy.deepcopy(base), config).eval()
    gates = Gates(model)
    gates.close(["one"])
    expected = model(tokens)
    gates.delete_closed()
    assert model.peft_config["default"].target_modules == ["table", "conv", "attention", "two"]
    model.save_pretrained(str(tmp_path))
    loaded = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    torch.testing.assert_close(loaded(tokens), expected)  # attention merges and unmerges: rounding


def test_gate_scales_the_adapter_as_in_the_formula() -> None:
    base = nn.Sequential(nn.Linear(3, 4))
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=6, target_modules=["0"], init_lora_weights=False))
    layer = lora_modules(model)["0"]
    x, gate = torch.randn(5, 3), torch.rand(5)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = layer.base_layer(x) + gate[:, None] * 3.0 * (x @ a.T @ b.T)
    with Gates(model).apply(gate[None]):
        torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("shape", [(6, 4), (6, 2, 4), (6, 2, 3, 4), (12, 4), (18, 2, 4)])
def test_gate_per_sample_equals_one_sample_at_a_time(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["0", "1"], init_lora_weights=False)
    model = peft.get_peft_model(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), config)
    gates = Gates(model)
    x, values = torch.randn(shape), torch.rand(2, 6)
    with gates.apply(values):
        together = model(x)
    rows = shape[0] // 6
    for sample in range(6):
        part = slice(sample * rows, (sample + 1) * rows)
        with gates.apply(values[:, sample]):
            torch.testing.assert_close(model(x[part]), together[part])


def test_rows_are_sample_by_channel(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    gates, values = Gates(model), torch.rand(4, 6)
    with gates.apply(values):
        together = losses(model, batch)
    for sample in range(6):
        with gates.apply(values[:, sample]):
            torch.testing.assert_close(losses(model, batch)[sample], together[sample])


def test_gradient_is_that_of_the_loss_in_the_gates(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    gates = Gates(model.double())
    batch = {key: value.double() for key, value in batch.items()}

    def loss(values: torch.Tensor) -> torch.Tensor:
        with gates.apply(values):
            return losses(model, batch).sum()

    assert torch.autograd.gradcheck(loss, (torch.rand(4, dtype=torch.float64, requires_grad=True),))
    assert torch.autograd.gradcheck(loss, (torch.rand(4, 6, dtype=torch.float64, requires_grad=True),))


def test_open_gates_change_nothing_and_closed_ones_are_the_base_model(
    model: peft.PeftModel, batch: dict[str, torch.Tensor]
) -> None:
    gates, before = Gates(model), losses(model, batch)
    with gates.apply(torch.ones(4)):
        assert torch.equal(losses(model, batch), before)
    gates.close(NAMES)
    closed = losses(model, batch)
    gates.open(NAMES)
    with gates.apply(torch.zeros(4)):
        assert torch.equal(losses(model, batch), closed)
    assert not torch.allclose(closed, before)


@pytest.mark.parametrize("fails", [False, True])
def test_state_comes_back_from_nested_contexts(
    model: peft.PeftModel, batch: dict[str, torch.Tensor], fails: bool
) -> None:
    gates = Gates(model)
    gates.close(["blocks.0.up"])
    flags = {name: weight.requires_grad for name, weight in model.named_parameters()}
    before = losses(model, batch)
    try:
        with gates.apply(torch.full((4,), 0.5)):
            outer = losses(model, batch)
            with gates.apply(torch.rand(4, 6)):
                assert gates.open_names == NAMES
                assert not torch.equal(losses(model, batch), outer)
            assert torch.equal(losses(model, batch), outer)
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert gates.closed_names == ("blocks.0.up",)
    assert {name: weight.requires_grad for name, weight in model.named_parameters()} == flags
    assert torch.equal(losses(model, batch), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_dora_gates_all_that_the_adapter_adds(batch: dict[str, torch.Tensor]) -> None:
    model = lora_forecaster(use_dora=True).eval()
    gates, before = Gates(model), losses(model, batch)
    with gates.apply(torch.ones(4)):
        torch.testing.assert_close(losses(model, batch), before)
    with gates.apply(torch.zeros(4, 6)):
        gated = losses(model, batch)
    gates.close(NAMES)
    torch.testing.assert_close(losses(model, batch), gated)


def test_closed_modules_do_no_work_and_get_no_gradient(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    gates = Gates(model)
    losses(model, batch).sum().backward()
    gates.close(["blocks.1.up"])
    closed = adapter_parameters(gates.layers["blocks.1.up"])
    assert not any(weight.requires_grad or weight.grad is not None for weight in closed.values())
    calls: list[int] = []
    gates.layers["blocks.1.up"].lora_A["default"].register_forward_hook(lambda *_: calls.append(1))
    losses(model, batch).sum().backward()
    assert not calls
    assert all(weight.grad is None for weight in closed.values())
    assert gates.is_open("blocks.0.up")
    assert not gates.is_open("blocks.1.up")


def test_reopened_modules_train_as_before(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    gates = Gates(model)
    for layer in gates.layers.values():
        layer.lora_A["default"].weight.requires_grad_(False)  # as LoRA-FA does
    weights = copy.deepcopy(model.state_dict())
    flags = {name: weight.requires_grad for name, weight in model.named_parameters()}
    before = losses(model, batch)
    gates.set_open(["blocks.0.up"])
    gates.close(["blocks.0.up", "blocks.1.up"])  # closing twice keeps what the first time saw
    gates.set_open(NAMES)
    assert {name: weight.requires_grad for name, weight in model.named_parameters()} == flags
    assert torch.equal(losses(model, batch), before)
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


def test_kept_modules_are_a_plain_lora_checkpoint(
    model: peft.PeftModel, batch: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    nn.init.normal_(model.base_model.model.head.modules_to_save["default"].weight)
    gates = Gates(model)
    gates.close(["blocks.0.up", "blocks.1.down"])
    expected = losses(model, batch)
    assert gates.delete_closed() == ("blocks.0.up", "blocks.1.down")
    assert gates.names == ("blocks.0.down", "blocks.1.up")
    assert model.peft_config["default"].target_modules == ["blocks.0.down", "blocks.1.up"]
    model.save_pretrained(str(tmp_path))
    torch.manual_seed(0)
    loaded = peft.PeftModel.from_pretrained(Forecaster(), str(tmp_path)).eval()
    assert tuple(lora_modules(loaded)) == gates.names
    assert (losses(loaded, batch) - expected).abs().max() == 0.0


def test_a_short_name_that_ends_a_longer_one_is_matched_in_full(tmp_path: Path) -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Linear(4, 4)
            self.block = nn.ModuleDict({"q": nn.Linear(4, 4)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block["q"](self.q(x))

    torch.manual_seed(0)
    base = Nested()
    model = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(target_modules=["q"], init_lora_weights=False))
    gates, x = Gates(model), torch.randn(2, 4)
    gates.close(["block.q"])
    expected = model(x)
    gates.delete_closed()
    model.save_pretrained(str(tmp_path))
    loaded = peft.PeftModel.from_pretrained(base, str(tmp_path))
    assert tuple(lora_modules(loaded)) == ("q",)
    assert torch.equal(loaded(x), expected)


def test_all_modules_can_be_deleted(model: peft.PeftModel, batch: dict[str, torch.Tensor], tmp_path: Path) -> None:
    gates = Gates(model)
    gates.close(NAMES)
    expected = losses(model, batch)
    gates.delete_closed()
    model.save_pretrained(str(tmp_path))
    torch.manual_seed(0)
    loaded = peft.PeftModel.from_pretrained(Forecaster(), str(tmp_path)).eval()
    assert lora_modules(loaded) == {}
    assert torch.equal(losses(loaded, batch), expected)


def test_an_adapter_that_sleeps_in_a_closed_layer_is_not_lost(model: peft.PeftModel) -> None:
    model.add_adapter("second", peft.LoraConfig(target_modules=["up"]))
    gates = Gates(model)
    gates.close(["blocks.0.up"])
    with pytest.raises(InputError, match="also holds the adapter 'second'"):
        gates.delete_closed()
    assert gates.names == NAMES


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("shape", [(4,), (4, 6)])
def test_recomputation_meets_the_same_gates(
    model: peft.PeftModel, batch: dict[str, torch.Tensor], use_reentrant: bool, shape: tuple[int, ...]
) -> None:
    gates = Gates(model)

    def gradients(values: torch.Tensor) -> list[torch.Tensor]:
        model.zero_grad()
        values = values.clone().requires_grad_()
        with gates.apply(values):
            losses(model, batch).sum().backward()
        return [values.grad, *(weight.grad for weight in model.parameters() if weight.grad is not None)]

    values = torch.rand(shape)
    expected = gradients(values)
    base = model.base_model.model
    plain = base.block
    base.embed.register_forward_hook(lambda module, inputs, output: output.requires_grad_())
    base.block = lambda index, hidden: checkpoint(plain, index, hidden, use_reentrant=use_reentrant)
    for got, want in zip(gradients(values), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_autocast_keeps_the_dtype_and_sums_the_gradient_in_float32(
    model: peft.PeftModel, batch: dict[str, torch.Tensor]
) -> None:
    gates = Gates(model)
    results = []
    for enabled in (False, True):
        for shape in ((4,), (4, 6)):
            values = torch.full(shape, 0.5, requires_grad=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled), gates.apply(values):
                dtypes = []
                hook = gates.layers["blocks.0.up"].register_forward_hook(lambda m, i, o, d=dtypes: d.append(o.dtype))
                loss = losses(model, batch).float().sum()
                hook.remove()
                (gradient,) = torch.autograd.grad(loss, values)
            assert dtypes == [torch.bfloat16 if enabled else torch.float32]
            assert gradient.dtype == torch.float32
            results.append(gradient)
    torch.testing.assert_close(results[2], results[0], rtol=0.05, atol=0.1)
    torch.testing.assert_close(results[3], results[1], rtol=0.05, atol=0.05)


def test_a_compiled_model_sees_gates_and_closed_modules(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    gates = Gates(compiled)
    opened = losses(compiled, batch)
    values = torch.rand(4, 6)
    with gates.apply(values):
        gated = losses(compiled, batch)
        torch.testing.assert_close(gated, losses(model, batch))
    assert not torch.allclose(gated, opened)
    torch.testing.assert_close(losses(compiled, batch), opened)
    gates.close(["blocks.0.up"])
    torch.testing.assert_close(losses(compiled, batch), losses(model, batch))
    assert not torch.allclose(losses(compiled, batch), opened)
    gates.open(["blocks.0.up"])
    torch.testing.assert_close(losses(compiled, batch), opened)


@pytest.fixture
def one_process_group() -> object:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process_group")
def test_distributed_training_goes_on_while_modules_close_and_open(batch: dict[str, torch.Tensor]) -> None:
    model = lora_forecaster()
    parallel = DistributedDataParallel(model, find_unused_parameters=True)
    gates = Gates(parallel)
    assert gates.names == NAMES
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], weight_decay=0.5)
    for opened in (NAMES, NAMES[:2], NAMES[2:], NAMES):
        gates.set_open(opened)
        closed = {name: adapter_parameters(gates.layers[name]) for name in gates.closed_names}
        before = copy.deepcopy({name: [w.data for w in weights.values()] for name, weights in closed.items()})
        optimizer.zero_grad()
        losses(parallel, batch).mean().backward()
        optimizer.step()
        for name, weights in closed.items():
            assert all(torch.equal(new, old) for new, old in zip(weights.values(), before[name], strict=True))
        assert all(w.grad is not None for n in opened for w in adapter_parameters(gates.layers[n]).values())


def test_wrong_use_is_explained(model: peft.PeftModel, batch: dict[str, torch.Tensor]) -> None:
    gates = Gates(model)
    with pytest.raises(InputError, match=r"shape \[4\] or \[4, B\], found \[3\]"), gates.apply(torch.ones(3)):
        pass
    with pytest.raises(InputError, match="multiple of 4 rows"), gates.apply(torch.ones(4, 4)):
        model(**{key: value[:3] for key, value in batch.items()})
    with pytest.raises(InputError, match=r"Did you mean 'blocks\.0\.up'"):
        gates.close(["block.0.up"])
    with gates.apply(torch.ones(4)), pytest.raises(InputError, match=r"inside Gates\.apply"):
        gates.close(["blocks.0.up"])
    with pytest.raises(InputError, match="found none with an active adapter"):
        Gates(Forecaster())
    model.merge_adapter()
    with pytest.raises(InputError, match=r"Call model\.unmerge_adapter"):
        Gates(model)
