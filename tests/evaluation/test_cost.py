import subprocess
import sys
import time

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from tracetune.evaluation.cost import Stopwatch, count_flops, count_parameters


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(10, 20, bias=False)
        self.head = nn.Linear(20, 3)

    def forward(self, values):
        return self.head(self.encoder(values))


def test_head_and_adapters_are_counted_apart_and_frozen_weights_only_in_the_total():
    model = get_peft_model(Model(), LoraConfig(r=2, target_modules=["encoder"], modules_to_save=["head"]))
    head = model.base_model.model.head.modules_to_save["default"]
    counts = count_parameters(model, head)
    assert counts.head == 20 * 3 + 3
    assert counts.adapters == 2 * (10 + 20)
    assert counts.trainable == counts.head + counts.adapters
    assert counts.total == 10 * 20 + 2 * 63 + counts.adapters  # PEFT keeps the original head too


def test_a_plain_module_has_no_adapters_and_shared_weights_count_once():
    model = Model()
    model.again = model.encoder
    counts = count_parameters(model)
    assert (counts.total, counts.trainable, counts.head, counts.adapters) == (263, 263, 0, 0)


def test_frozen_adapters_are_not_trainable():
    model = get_peft_model(Model(), LoraConfig(r=2, target_modules=["encoder"]))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    counts = count_parameters(model)
    assert (counts.trainable, counts.adapters) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_that_of_the_process_itself_and_does_not_go_down():
    script = (
        "from tracetune.evaluation.cost import peak_memory_bytes as peak; before = peak(); "
        "block = bytearray(b'x') * 200_000_000; high = peak(); del block; print(before, high, peak())"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    before, high, after = map(int, output.split())
    assert 150e6 < high - before < 450e6
    assert after > 0.99 * high


def test_the_stopwatch_adds_up_its_blocks():
    watch = Stopwatch()
    with watch:
        time.sleep(0.02)
    first = watch.seconds
    with watch:
        time.sleep(0.02)
    assert first >= 0.02
    assert watch.seconds >= first + 0.02


def test_flops_of_matrix_products_and_of_attention():
    model = Model().requires_grad_(False)
    assert count_flops(model, torch.ones(4, 10)) == 2 * 4 * (10 * 20 + 20 * 3)
    query = torch.ones(1, 2, 16, 8)  # batch, heads, steps, width
    attention = torch.nn.functional.scaled_dot_product_attention
    assert count_flops(attention, query, query, query) == 2 * (2 * 2 * 16 * 16 * 8)
