"""Micro-batches: every row once, in the order of one big batch, and the weights that one big batch gives."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from tests.tiny import CONTEXT, HORIZON, PATCH, tiny_forecast_model
from tracetune.adapters.adalora import AdaLoraOptions, add_adalora
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.adapters.trained_head import trained_head
from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything
from tracetune.training import checkpoints
from tracetune.training.adalora_callback import AdaLoraCallback
from tracetune.training.config import TrainingConfig
from tracetune.training.micro_batches import MicroBatches, counted, kept_order, length_grouped_order, share_of_step
from tracetune.training.run import Run
from tracetune.training.trainer import TrainedModule, build_trainer

PATCHES = CONTEXT // PATCH
WINDOWS = 29  # four batches, the last of 5
CONFIG = TrainingConfig(max_steps=10, batch_size=8, evaluations=5, learning_rate=3e-3, early_stopping_patience=9)


class Rows(torch.utils.data.Dataset):
    """Random walks in float64, so that what differs is arithmetic and not its rounding; counts what is read."""

    def __init__(self, count: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.series = torch.randn(count, 1, CONTEXT + HORIZON, generator=generator, dtype=torch.float64).cumsum(-1)
        self.read: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.series)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        self.read.append(list(indices))
        rows = self.series[indices]
        past, future = rows[..., :CONTEXT], rows[..., CONTEXT:]
        return {
            "past_values": past,
            "input_mask": torch.ones_like(past),
            "future_values": future,
            "future_mask": torch.ones_like(future),
        }


class ForwardSizes:
    """Rows of every forward pass of a module, in training and in evaluation."""

    def __init__(self, module: nn.Module) -> None:
        self.sizes: dict[bool, list[int]] = {True: [], False: []}
        module.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: nn.Module, args: Any, kwargs: dict[str, Tensor]) -> None:
        self.sizes[module.training].append(len(kwargs["past_values"]))


class Interrupt(TrainerCallback):
    def on_step_end(self, args: object, state: Any, control: object, **kwargs: object) -> None:
        if state.global_step == 7:
            raise KeyboardInterrupt


def lora_model(config: TrainingConfig) -> tuple[nn.Module, list[TrainerCallback]]:
    return add_lora(tiny_forecast_model().double(), LoraOptions()), []


def adalora_model(config: TrainingConfig) -> tuple[nn.Module, list[TrainerCallback]]:
    options = AdaLoraOptions(init_r=3, target_r=2, orth_reg_weight=2.0)
    return add_adalora(tiny_forecast_model().double(), LoraOptions(), options, config.max_steps), [AdaLoraCallback()]


def train(
    folder: Path, config: TrainingConfig, make: Any = lora_model, *callbacks: TrainerCallback, data: type[Rows] = Rows
) -> Any:
    """The trained weights, the log and the sizes of forward passes."""
    seed_everything(0)
    model, first = make(config)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # its numbers depend on the shape of a batch
    sizes = ForwardSizes(model.get_base_model()).sizes
    trainer = build_trainer(
        TrainedModule(model.double(), trained_head(model), tokens_per_sample=PATCHES),
        config,
        data(WINDOWS),
        Rows(11, seed=1),
        Run(folder, callbacks=(*first, *callbacks)),
    )
    checkpoints.train(trainer)
    weights = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    return weights, trainer.state.log_history, sizes


@pytest.mark.parametrize("make", [lora_model, adalora_model])
@pytest.mark.parametrize("most", [3, 1])
def test_the_weights_are_those_of_one_big_batch(tmp_path: Path, make: Any, most: int) -> None:
    """29 windows in batches of 8: the last batch of an epoch is smaller, and so is the last piece of each batch."""
    whole, history, _ = train(tmp_path / "whole", CONFIG, make)
    split = replace(CONFIG, max_tokens=most * PATCHES + 1)
    weights_of_parts, split_history, sizes = train(tmp_path / "pieces", split, make)
    for name, weight in whole.items():
        torch.testing.assert_close(weights_of_parts[name], weight, rtol=0, atol=1e-7)
    assert max(sizes[True]) == max(sizes[False]) == most
    for name in ("loss", "eval_loss", "grad_norm"):
        logged, again = ([entry[name] for entry in log if name in entry] for log in (history, split_history))
        assert again == pytest.approx(logged, rel=1e-6)
        assert len(logged) == 5


def test_the_start_was_not_the_end(tmp_path: Path) -> None:
    """The comparison above would notice a step: weights differ by far more than its tolerance."""
    long, _, _ = train(tmp_path / "long", CONFIG)
    wrong, _, _ = train(tmp_path / "wrong", replace(CONFIG, batch_size=7))
    assert max((wrong[name] - weight).abs().max() for name, weight in long.items()) > 1e-4


def test_without_a_limit_nothing_is_split(tmp_path: Path) -> None:
    _, _, sizes = train(tmp_path / "none", CONFIG)
    assert sizes[True] == [8, 8, 8, 5, 8, 8, 8, 5, 8, 8]
    assert set(sizes[False]) == {11}
    _, _, sizes = train(tmp_path / "wide", replace(CONFIG, max_tokens=9 * PATCHES))
    assert sizes[True] == [8, 8, 8, 5, 8, 8, 8, 5, 8, 8]
    assert set(sizes[False]) == {9, 2}  # validation has 4 x batch_size otherwise


def test_an_interrupted_run_gives_what_an_uninterrupted_one_gives(tmp_path: Path) -> None:
    config = replace(CONFIG, max_tokens=3 * PATCHES)
    whole, _, _ = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", config, lora_model, Interrupt())
    assert checkpoints.last_checkpoint(tmp_path / "cut").endswith("checkpoint-6")  # in the middle of the second epoch
    resumed, _, _ = train(tmp_path / "cut", config)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("size", "batch_size", "most"), [(29, 8, 3), (29, 7, 2), (10, 862, 100), (24, 8, 8), (9, 4, 1)]
)
def test_every_step_has_the_rows_of_its_batch(size: int, batch_size: int, most: int) -> None:
    rows = Rows(size)
    micro = MicroBatches(rows, batch_size, most, kept_order(size))
    for item in range(len(micro)):
        micro.__getitems__([item])
    assert max(map(len, rows.read)) <= most
    assert min(map(len, rows.read)) > 0
    steps = [
        list(chain(*rows.read[first : first + micro.parts_per_batch]))
        for first in range(0, len(micro), micro.parts_per_batch)
    ]
    assert steps == [list(range(start, min(start + batch_size, size))) for start in range(0, size, batch_size)]


@pytest.mark.parametrize(
    ("size", "batch_size", "most", "processes"), [(29, 8, 8, 2), (29, 7, 2, 3), (9, 8, 8, 4), (24, 8, 8, 2)]
)
def test_processes_share_every_batch(size: int, batch_size: int, most: int, processes: int) -> None:
    rows = Rows(size)
    micro = MicroBatches(rows, batch_size, most, kept_order(size), processes)
    parts = micro.parts_per_batch
    assert parts % processes == 0
    assert len(micro) == -(-size // batch_size) * parts
    seen: list[list[int]] = []
    for item in range(len(micro)):
        labels = counted(micro.__getitems__([item]))["labels"]
        assert len(labels) == len(rows.read[-1]) <= most
        seen.append(rows.read[-1] if int(labels[0]) == 0 else [])
    steps = [list(chain(*seen[first : first + parts])) for first in range(0, len(micro), parts)]
    assert steps == [list(range(start, min(start + batch_size, size))) for start in range(0, size, batch_size)]


def test_a_row_that_does_not_count_adds_nothing() -> None:
    share = share_of_step({"loss": torch.tensor(3.0)}, torch.tensor([-100]), torch.tensor(7))
    assert float(share) == 0.0


def test_the_order_is_that_of_the_trainer(tmp_path: Path) -> None:
    """Over two epochs, with and without micro-batches."""
    orders = []
    for max_tokens in (None, 3 * PATCHES):
        data = Rows(WINDOWS)
        config = replace(CONFIG, max_tokens=max_tokens, seed=5)
        trained = TrainedModule(lora_model(config)[0], tokens_per_sample=PATCHES)
        trainer = build_trainer(trained, config, data, data, Run(tmp_path))
        loader = trainer.get_train_dataloader()
        for epoch in range(2):
            loader.set_epoch(epoch)
            list(loader)
        orders.append(list(chain(*data.read)))
    assert orders[0] == orders[1]
    assert sorted(orders[0][:WINDOWS]) == sorted(orders[0][WINDOWS:]) == list(range(WINDOWS))
    assert orders[0][:WINDOWS] != orders[0][WINDOWS:]


def test_rows_of_about_the_same_length_share_a_batch() -> None:
    lengths = torch.randint(1, 100, (203,), generator=torch.Generator().manual_seed(0)).tolist()
    order = length_grouped_order(lengths, 8, seed=5)
    epochs = [order(epoch).tolist() for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    for rows in epochs:
        assert sorted(rows) == list(range(203))
        longest = [max(lengths[row] for row in rows[first : first + 8]) for first in range(0, 203, 8)]
        padded = 8 * sum(longest[:-1]) + 3 * longest[-1]
        assert padded < 1.25 * sum(lengths)  # 1.75 in batches of any lengths
        assert longest != sorted(longest, reverse=True)


def test_a_data_set_with_lengths_is_read_in_such_batches(tmp_path: Path) -> None:
    class Sized(Rows):
        lengths = tuple(range(200))

    data = Sized(200)
    trainer = build_trainer(TrainedModule(lora_model(CONFIG)[0]), CONFIG, data, data, Run(tmp_path))
    list(trainer.get_train_dataloader())
    assert sorted(chain(*data.read)) == list(range(200))
    assert {len(rows) for rows in data.read} == {8}
    assert sum(max(rows) - min(rows) for rows in data.read) / 25 < 60  # about 155 in batches of any lengths


def test_grouped_by_length_an_interrupted_run_gives_what_an_uninterrupted_one_gives(tmp_path: Path) -> None:
    class Sized(Rows):
        lengths = tuple(row % 7 for row in range(WINDOWS))

    whole, _, sizes = train(tmp_path / "whole", CONFIG, data=Sized)
    assert sizes[True] == [8, 8, 8, 5, 8, 8, 8, 5, 8, 8]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", CONFIG, lora_model, Interrupt(), data=Sized)
    resumed, _, _ = train(tmp_path / "cut", CONFIG, data=Sized)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_several_items_are_one_batch() -> None:
    """As one process with several GPUs reads them."""
    micro = MicroBatches(Rows(10), 4, 2, kept_order(10))
    batch = micro.__getitems__([1, 4])
    torch.testing.assert_close(batch["past_values"], Rows(10).__getitems__([2, 3, 8, 9])["past_values"])


@pytest.mark.parametrize("devices", [1, 2])
def test_shares_add_up_to_the_mean(devices: int) -> None:
    """With several GPUs the Trainer hands in their losses, a row count a GPU, and multiplies by their number."""
    losses = torch.rand(10, dtype=torch.float64)
    shares = []
    for part in losses.split([4, 4, 2]):
        labels = counted({"past_values": part})["labels"]
        loss = torch.stack([rows.mean() for rows in part.chunk(devices)]).squeeze()
        rows = torch.tensor(10).unsqueeze(0).expand(devices, -1) if devices > 1 else torch.tensor(10)
        shares.append((share_of_step({"loss": loss}, labels, rows, devices) * devices).mean())
    torch.testing.assert_close(sum(shares), losses.mean())


def test_a_limit_below_one_window_is_refused(tmp_path: Path) -> None:
    data, model = Rows(4), tiny_forecast_model()
    trained = TrainedModule(model, tokens_per_sample=PATCHES)
    with pytest.raises(InputError, match="one window has 8 tokens"):
        build_trainer(trained, replace(CONFIG, max_tokens=7), data, data, Run(tmp_path))
    with pytest.raises(InputError, match="max_tokens needs tokens_per_sample"):
        build_trainer(TrainedModule(model), replace(CONFIG, max_tokens=7), data, data, Run(tmp_path))
    with pytest.raises(InputError, match="max_tokens of at least 1"):
        TrainingConfig(max_tokens=0)


class Labelled:
    """Rows with an entry that the Trainer, too, calls labels."""

    def __init__(self, rows: int) -> None:
        self.values = torch.arange(rows, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.values)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        return {"values": self.values[indices], "labels": 2 * self.values[indices]}


class Slope(nn.Module):
    """One weight; its loss is the squared error of weight * value against the label."""

    accepts_loss_kwargs = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.seen.append((values, labels))
        return {"loss": (self.weight * values - labels).square().mean()}


def test_labels_reach_the_model_in_micro_batches(tmp_path: Path) -> None:
    config = TrainingConfig(learning_rate=5e-4, max_steps=3, batch_size=4, evaluations=1)
    weights = []
    for most in (3, None):
        model = Slope()
        trainer = build_trainer(
            TrainedModule(model, labels=("labels",), tokens_per_sample=1),
            replace(config, max_tokens=most),
            Labelled(9),
            Labelled(5),
            Run(tmp_path / str(most)),
            shuffle=False,
        )
        trainer.train()
        assert all(torch.equal(labels, 2 * values) for values, labels in model.seen)
        assert max(len(values) for values, _ in model.seen) == (most or 5)
        assert not model._forward_pre_hooks
        weights.append(model.weight.item())
    assert weights[0] == pytest.approx(weights[1], rel=1e-6)
