"""Fused LoRA against PEFT's own forward and backward pass, and what it must leave alone."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import Linear
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.tiny import HORIZON, tiny_forecast_model
from tracetune.adapters.fused_lora import fuse_lora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.selection.gates import Gates

IN, OUT, RANK = 12, 20, 3


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # oneDNN leaves rows of a bfloat16 product unwritten where OMP_THREAD_LIMIT is below the number of threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def adapted_layer(bias: bool = False, **options: Any) -> PeftModel:
    """One adapted linear layer, B away from zero."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(IN, OUT, bias=bias))
    return spread_b(get_peft_model(base, LoraConfig(r=RANK, lora_alpha=5, target_modules=["0"], **options)))


def adapted_model(**options: Any) -> PeftModel:
    return spread_b(add_lora(tiny_forecast_model(), LoraOptions(**options)))


def spread_b(model: PeftModel) -> PeftModel:
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.3)
    return model


def the_layer(model: nn.Module) -> Linear:
    return next(module for module in model.modules() if isinstance(module, Linear))


def is_fused(output: Tensor) -> bool:
    return "_AdaptedLinear" in nodes(output.grad_fn)


def nodes(node: Any) -> str:
    return "" if node is None else node.name() + " ".join(nodes(parent) for parent, _ in node.next_functions)


def gradients(model: nn.Module, compute: Callable[[], Tensor], *inputs: Tensor) -> dict[str, Tensor]:
    """The output of ``compute``, and gradients of inputs and parameters under a fixed weighting of the output."""
    model.zero_grad()
    for tensor in inputs:
        tensor.grad = None
    output = compute()
    generator = torch.Generator().manual_seed(3)
    (output.float() * torch.randn(output.shape, generator=generator)).sum().backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    found |= {f"input {index}": tensor.grad for index, tensor in enumerate(inputs) if tensor.grad is not None}
    return {"output": output.detach(), **{name: tensor.clone() for name, tensor in found.items()}}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 2e-6) -> None:
    """Equal up to ``tolerance`` times the largest number of each tensor."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        error = (found[name] - tensor).abs().max()
        assert error <= tolerance * tensor.abs().max(), f"{name}: off by {error}"


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (0,), ()], ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_outputs_and_gradients_are_peft_s(shape: tuple[int, ...], bias: bool, needs_gradient: bool) -> None:
    model = adapted_layer(bias)
    x = torch.randn(*shape, IN, requires_grad=needs_gradient)
    expected = gradients(model, lambda: model(x), x)
    with fuse_lora(model):
        assert is_fused(model(x))
        found = gradients(model, lambda: model(x), x)
    assert len(expected) == 3 + needs_gradient
    if 0 not in shape:
        assert_same(found, expected)
    assert found["output"].shape == (*shape, OUT)


def test_outputs_may_be_changed_in_place_as_those_of_peft() -> None:
    model = adapted_layer()
    x = torch.randn(3, 5, IN)

    def changed() -> torch.Tensor:  # as in DeBERTa and Longformer
        output = model(x).permute(1, 0, 2)
        output += 1
        output /= 2
        return output

    expected = gradients(model, changed, x)
    with fuse_lora(model):
        assert_same(gradients(model, changed, x), expected)


@pytest.mark.parametrize("autocast", [False, True])
def test_narrow_products_have_the_orientation_that_is_fast(autocast: bool) -> None:
    model = adapted_layer()
    with fuse_lora(model), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = the_layer(model)(torch.randn(5, IN))
    (fused, _), *_ = output.grad_fn.next_functions  # behind the view of its rows
    scaled_b = fused.saved_tensors[-1]
    assert scaled_b.shape == (RANK, OUT)
    assert scaled_b.is_contiguous()


def test_gradients_are_those_of_finite_differences() -> None:
    model = adapted_layer(bias=True).double()
    a, b = (getattr(the_layer(model), kind)["default"].weight for kind in ("lora_A", "lora_B"))
    with fuse_lora(model):
        assert torch.autograd.gradcheck(
            lambda x, *_: model(x), (torch.randn(4, IN, dtype=torch.float64, requires_grad=True), a, b)
        )


@pytest.mark.parametrize("input_type", [torch.float32, torch.bfloat16])
def test_autocast_is_as_close_to_exact_numbers_as_peft(input_type: torch.dtype) -> None:
    model = adapted_layer(bias=True)
    x = torch.randn(64, IN).to(input_type).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        expected = gradients(model, lambda: model(x), x)
        with fuse_lora(model):
            assert is_fused(model(x))
            found = gradients(model, lambda: model(x), x)
    wide = x.detach().float().requires_grad_()
    exact = gradients(model, lambda: model(wide), wide)
    for name, tensor in exact.items():
        assert found[name].dtype == expected[name].dtype
        errors = [(numbers[name].float() - tensor).norm() / tensor.norm() for numbers in (found, expected)]
        assert errors[0] < max(1.2 * errors[1], 0.004), name


def test_a_bfloat16_model_without_autocast() -> None:
    model = adapted_layer().to(torch.bfloat16)
    x = torch.randn(64, IN, dtype=torch.bfloat16, requires_grad=True)
    expected = gradients(model, lambda: model(x), x)
    with fuse_lora(model):
        assert is_fused(model(x))
        assert_same(gradients(model, lambda: model(x), x), expected, tolerance=0.02)


def test_a_backward_pass_under_autocast_keeps_the_types_of_the_forward_pass() -> None:
    model, x = adapted_layer(), torch.randn(6, IN, requires_grad=True)
    expected = gradients(model, lambda: model(x), x)
    with fuse_lora(model):
        output = model(x)
        model.zero_grad()
        x.grad = None
        weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
        with torch.autocast("cpu", torch.bfloat16):
            output.backward(weights)
    torch.testing.assert_close(x.grad, expected["input 0"])


def test_a_whole_model_trains_as_with_peft_and_nothing_is_left_behind() -> None:
    model = adapted_model()
    before = [dict(vars(module)) for module in model.modules()]
    x, future = torch.randn(3, 2, 64), torch.randn(3, 2, HORIZON)
    expected = gradients(model, lambda: model(x, future_values=future).loss)
    with fuse_lora(model) as names:
        assert len(names) == 2 * 7
        assert all(isinstance(model.get_submodule(name), Linear) for name in names)
        output = model(x, future_values=future).loss
        assert nodes_named(output, "_AdaptedLinear") == 14
        found = gradients(model, lambda: model(x, future_values=future).loss)
    assert_same(found, expected, tolerance=2e-5)
    assert [vars(module).keys() for module in model.modules()] == [entries.keys() for entries in before]
    assert not is_fused(model(x).forecast)


def nodes_named(output: Tensor, part: str) -> int:
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return sum(part in node.name() for node in seen)


def test_an_exception_brings_peft_s_forward_back() -> None:
    model = adapted_layer()
    with pytest.raises(ZeroDivisionError), fuse_lora(model):
        raise ZeroDivisionError
    assert "forward" not in vars(the_layer(model))


def test_contexts_nest() -> None:
    model, x = adapted_layer(), torch.randn(2, IN)
    with fuse_lora(model):
        with fuse_lora(model) as names:
            assert len(names) == 1
        assert is_fused(model(x))
    assert not is_fused(model(x))


def test_a_forward_that_somebody_else_put_there_stays() -> None:
    model = adapted_layer()
    layer = the_layer(model)
    layer.forward = lambda x: x
    with fuse_lora(model) as names:
        assert names == ()
        assert model(torch.ones(1, IN)).sum() == IN
    assert layer.forward(3) == 3


@pytest.mark.parametrize("trained", ["lora_A", "lora_B"])
def test_only_one_of_a_and_b_trains(trained: str) -> None:
    model, x = adapted_layer(), torch.randn(6, IN)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained in name)
    expected = gradients(model, lambda: model(x))
    with fuse_lora(model):
        assert is_fused(model(x))
        assert_same(gradients(model, lambda: model(x)), expected)


def test_without_gradients() -> None:
    model, x = adapted_layer(), torch.randn(6, IN)
    expected = model(x).detach()
    with fuse_lora(model):
        for context in (torch.no_grad, torch.inference_mode):
            with context():
                torch.testing.assert_close(model(x), expected)


def test_gradient_checkpointing() -> None:
    model, x = adapted_layer(), torch.randn(6, IN, requires_grad=True)
    expected = gradients(model, lambda: model(x), x)
    with fuse_lora(model):
        assert_same(gradients(model, lambda: checkpoint(model, x, use_reentrant=False), x), expected)


def test_second_derivatives_are_refused() -> None:
    model, x = adapted_layer(), torch.randn(6, IN, requires_grad=True)
    with fuse_lora(model):
        (gradient,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    "options",
    [{"use_dora": True}, {"lora_dropout": 0.1}, {"lora_bias": True}],
    ids=lambda options: next(iter(options)),
)
def test_layers_that_do_more_are_left_to_peft(options: dict[str, Any]) -> None:
    model = adapted_layer(bias=True, **options)
    with fuse_lora(model) as names:
        assert names == ()


@pytest.mark.parametrize("trained", ["weight", "bias"])
def test_base_layers_that_train_are_left_to_peft(trained: str) -> None:
    model = adapted_layer(bias=True)
    getattr(the_layer(model).base_layer, trained).requires_grad_()
    with fuse_lora(model) as names:
        assert names == ()


def test_two_active_adapters_and_adapters_by_sample_are_left_to_peft() -> None:
    model, x = adapted_layer().eval(), torch.randn(2, IN)
    model.add_adapter("second", LoraConfig(r=2, target_modules=["0"], init_lora_weights=False))
    with fuse_lora(model):
        assert is_fused(model(x))
        assert not is_fused(model(x, adapter_names=["default", "second"]))
        model.base_model.set_adapter(["default", "second"])
        assert not is_fused(model(x))
        model.set_adapter("second")
        second = model(x)
        assert is_fused(second)
    torch.testing.assert_close(model(x), second)


def test_other_types_than_the_weights_are_left_to_peft() -> None:
    model = adapted_layer()
    the_layer(model).base_layer.to(torch.bfloat16)
    with fuse_lora(model):
        output = model(torch.randn(2, IN, dtype=torch.bfloat16))
    assert not is_fused(output)
    assert output.dtype == torch.bfloat16


@pytest.mark.parametrize("part", ["base_layer", "lora_A", "lora_B"])
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
def test_hooks_on_the_parts_see_what_they_saw(part: str, kind: str) -> None:
    model, calls = adapted_layer(), []
    module = getattr(the_layer(model), part)
    module = module if part == "base_layer" else module["default"]
    with fuse_lora(model):
        handle = getattr(module, f"register_{kind}")(lambda *args: calls.append(kind))
        model(torch.randn(2, IN, requires_grad=True)).sum().backward()
        assert calls == [kind]
        handle.remove()
        assert is_fused(model(torch.randn(2, IN)))


@pytest.mark.parametrize("samples", [None, 3])
def test_gates_get_the_gradients_they_get_with_peft(samples: int | None) -> None:
    model = adapted_model()
    gates = Gates(model)
    gates.close(gates.names[:2])
    x, future = torch.randn(3, 1, 64), torch.randn(3, 1, HORIZON)
    values = torch.rand(gates.M, *([samples] if samples else []), requires_grad=True)

    def loss() -> Tensor:
        return model(x, future_values=future).loss

    with gates.apply(values):
        expected = gradients(model, loss, values)
    with fuse_lora(model):
        with gates.apply(values):
            found = gradients(model, loss, values)
        assert nodes_named(loss(), "_AdaptedLinear") == gates.M - 2
    assert_same(found, expected, tolerance=1e-6)


def test_closed_layers_are_their_base_layer_and_open_again() -> None:
    model, x = adapted_layer(), torch.randn(2, IN)
    layer = the_layer(model)
    layer.enable_adapters(False)
    with fuse_lora(model) as names:
        assert names == ("base_model.model.0",)
        assert torch.equal(model(x), layer.base_layer(x))
        assert model(x).grad_fn is None
        layer.enable_adapters(True)
        assert is_fused(model(x))
        with model.disable_adapter():
            assert torch.equal(model(x), layer.base_layer(x))


def test_closed_modules_can_be_deleted_inside() -> None:
    model = adapted_model()
    gates = Gates(model)
    removed = gates.layers[gates.names[0]]
    with fuse_lora(model):
        gates.close(gates.names[:1])
        gates.delete_closed()
        assert nodes_named(model(torch.randn(1, 1, 64)).forecast, "_AdaptedLinear") == 13
    assert "forward" not in vars(removed)


def test_merging_inside() -> None:
    model, x = adapted_layer(), torch.randn(5, IN)
    expected = model(x).detach()
    with fuse_lora(model):
        model.merge_adapter()
        merged = model(x)
        assert merged.grad_fn is None
        model.unmerge_adapter()
        assert is_fused(model(x))
        torch.testing.assert_close(merged, expected)
        unloaded = model.merge_and_unload()
        torch.testing.assert_close(unloaded(x), expected)


def test_a_deep_copy_made_inside_is_peft_s_and_can_be_fused_again() -> None:
    model, x = adapted_layer(), torch.randn(2, IN)
    expected = model(x).detach()
    with fuse_lora(model):
        twin = copy.deepcopy(model)
        copied_layer = copy.deepcopy(the_layer(model).forward).__self__
    nn.init.zeros_(the_layer(model).lora_B["default"].weight)
    assert copied_layer is not the_layer(model)
    for other in (twin, copy.deepcopy(twin)):
        assert not is_fused(other(x))
        torch.testing.assert_close(other(x), expected)
        with fuse_lora(other):
            assert is_fused(other(x))
        assert not is_fused(other(x))


def test_what_is_saved_inside_is_what_is_saved_outside(tmp_path: Path) -> None:
    model = adapted_model()
    model.save_pretrained(tmp_path / "outside")
    keys = model.state_dict().keys()
    with fuse_lora(model):
        model.save_pretrained(tmp_path / "inside")
        assert model.state_dict().keys() == keys
    outside, inside = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("outside", "inside"))
    assert outside.keys() == inside.keys()
    assert all(torch.equal(outside[name], inside[name]) for name in outside)


def test_compiled_models_are_peft_s() -> None:
    model, x = adapted_layer(), torch.randn(2, IN, requires_grad=True)
    expected = gradients(model, lambda: model(x), x)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with fuse_lora(model):
        assert_same(gradients(model, lambda: compiled(x), x), expected)
    assert_same(gradients(model, lambda: compiled(x), x), expected)


def test_a_model_without_lora_has_nothing_to_fuse() -> None:
    with fuse_lora(tiny_forecast_model()) as names:
        assert names == ()
