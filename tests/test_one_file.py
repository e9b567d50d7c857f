"""A task, a backbone, a head, a method and a score are one class or function each, registered where it stands.

What is written here is all that each of them takes; the fits below run through the package as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.tiny import tiny_backbone
from tracetune.backbones.backbone import Backbone, Encoded
from tracetune.backbones.normalisation import normalise
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.methods import METHODS, Adapted, Lora, Method, Trace, register_method
from tracetune.fitting.run import Run
from tracetune.heads.config import HeadConfig
from tracetune.heads.head import output_layer, register_head
from tracetune.heads.kinds import HEADS, build_head
from tracetune.selection.gates import Gates
from tracetune.selection.schedule import SelectionConfig
from tracetune.selection.scores.score import FORWARD, SCORES, ScoreValues, register_score
from tracetune.tasks.forecasting import Forecasting
from tracetune.tasks.task import Features, Output, TaskModel, TrainingData
from tracetune.training.config import TrainingConfig

CONTEXT, HORIZON = 32, 4


# A backbone: what encodes, what comes out, which layers may adapt.


class ToyBackbone(Backbone):
    """Patches of eight steps through two layers."""

    context_length, width = CONTEXT, 12

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 24), nn.Linear(24, self.width)

    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        observed = ~values.isnan() if input_mask is None else input_mask.bool()
        normalised, statistics = normalise(values, observed)
        return Encoded(self.second(functional.gelu(self.first(normalised.unflatten(-1, (-1, 8))))), statistics)

    def num_patches(self, context_length: int) -> int:
        return context_length // 8

    def adapted_layers(self) -> list[str]:
        return ["first", "second"]


# A head: how it reduces tokens; its output layer is solved and trained by the package.


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    """Registers the toys for the tests of this file only."""

    @register_head("last_patch", reduces=False)
    class LastPatchHead(nn.Module):
        """Reads the last token alone."""

        def __init__(self, num_patches: int, width: int, prediction_length: int, dropout: float = 0.1) -> None:
            super().__init__()
            self.output = output_layer(width, prediction_length)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.output(self.reduce(tokens).flatten(-2))

        def reduce(self, tokens: Tensor) -> Tensor:
            return tokens[..., -1:, :]

        @staticmethod
        def weights(num_patches: int, width: int, prediction_length: int) -> int:
            return width * prediction_length

    @register_score("negative_index", passes=FORWARD, signed=False)
    def negative_index(gates: Gates, batches: Iterable[Any], loss_fn: Any) -> ScoreValues:
        """The first modules are the best."""
        return ScoreValues(-np.arange(float(gates.M)), None, samples=0, forward_equivalents=0.0)

    register_method(LastLayer)
    yield
    del HEADS["last_patch"], SCORES["negative_index"], METHODS["last_layer"]


# A method: a frozen dataclass with its options.


@dataclass(frozen=True)
class LastLayer:
    """Trains the last adaptable layers as they are, without adapters."""

    layers: int = 1
    name: ClassVar[str] = "last_layer"
    adapts_backbone: ClassVar[bool] = True

    def check(self, layers: Mapping[str, nn.Linear], steps: int) -> None:
        if not 1 <= self.layers <= len(layers):
            raise InputError(f"Expected layers between 1 and {len(layers)}, found {self.layers}.")

    def adapt(self, model: TaskModel, data: TrainingData, training: TrainingConfig) -> Adapted:
        model.requires_grad_(False)
        for name in model.backbone.adapted_layers()[-self.layers :]:
            model.backbone.get_submodule(name).requires_grad_(True)
        if model.head is not None:
            model.head.requires_grad_(True)
        return Adapted(model)


# A task: from batches to features, from what a head makes of them to losses.


class RangeModel(TaskModel):
    labels = ("range",)

    @property
    def tokens_per_sample(self) -> int:
        return int(self.backbone.num_patches(CONTEXT))

    def features(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"tokens": self.backbone.encode(batch["values"]).tokens, "range": batch["range"]}

    def loss(self, outputs: Tensor, features: Mapping[str, Tensor]) -> Output:
        losses = (outputs.flatten() - features["range"]).square()
        return Output(loss=losses.mean(), sample_losses=losses)


class RangeTask:
    """By how much is the range of a series above four of its deviations?"""

    name: ClassVar[str] = "range"
    default_head = HeadConfig("flatten")

    def model(self, backbone: Any, head: HeadConfig) -> RangeModel:
        return RangeModel(backbone, build_head(head, backbone.num_patches(CONTEXT), backbone.width, 1))

    def zero_shot(self, backbone: Any) -> None:
        return None

    def solve_head(self, model: TaskModel, train: Features, validation: Features) -> None:
        return None


class Ranges:
    """Noise with a peak, and how wide it is."""

    def __init__(self, rows: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.values = torch.randn(rows, 1, CONTEXT, generator=generator)
        self.values[:, :, 5] += 6 * torch.rand(rows, 1, generator=generator)
        spread = self.values.amax(-1) - self.values.amin(-1)
        self.range = (spread / self.values.std(-1, unbiased=False)).flatten() - 4

    def __len__(self) -> int:
        return len(self.range)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        return {"values": self.values[indices], "range": self.range[indices]}


def toy_backbone() -> ToyBackbone:
    torch.manual_seed(0)
    return ToyBackbone()


def waves() -> TrainingData:
    steps = np.arange(400)
    values = [np.sin(steps / 3)[None] + 0.1 * np.random.default_rng(0).normal(size=(1, 400))]
    train = Windows(values, CONTEXT, HORIZON, [(0, 300)], stride=2)
    return TrainingData(train, Windows(values, CONTEXT, HORIZON, [(300, 400)], stride=3))


def fitted(task: Any, backbone: Backbone, data: TrainingData, method: Method, **options: Any) -> Fitted:
    training = TrainingConfig(max_steps=30, batch_size=32, evaluations=3, learning_rate=1e-2, head_learning_rate=1e-2)
    with Run.at(None) as run:
        return fit(
            task, backbone, data, FitConfig(method=method, head_training=training, training=training, **options), run
        )


def losses(result: Fitted) -> dict[str, float]:
    return {each["name"]: each["validation_loss"] for each in result.record.candidates}


def test_a_task_a_backbone_and_a_method_of_one_class_each() -> None:
    data = TrainingData(Ranges(400, 0), Ranges(200, 1))
    result = fitted(RangeTask(), toy_backbone(), data, METHODS["last_layer"]())
    found = losses(result)
    assert list(found) == ["head", "last_layer"]
    nothing_learned = data.validation.range.square().mean().item()  # type: ignore[attr-defined]
    assert found["last_layer"] < found["head"] < 0.9 * nothing_learned
    assert result.record.to_json()["config"]["method"] == {"name": "last_layer", "layers": 1}
    with pytest.raises(InputError, match="layers between 1 and 2, found 3"):
        fitted(RangeTask(), toy_backbone(), data, LastLayer(3))


def test_a_head_of_one_class_is_solved_and_trained_on_a_backbone_of_one_class() -> None:
    result = fitted(Forecasting(HORIZON, CONTEXT), toy_backbone(), waves(), Lora(), head=HeadConfig("last_patch"))
    found = losses(result)
    assert list(found) == ["head", "lora"]  # this backbone does not forecast by itself
    assert found["head"] < 0.1
    assert result.record.parameters["head"] == (12 + 1) * HORIZON


def test_a_score_of_one_function_selects() -> None:
    selection = SelectionConfig(keep=3, score="negative_index", final_step=20, scoring_batches=1, cost_share=1.0)
    task = Forecasting(HORIZON, CONTEXT)
    result = fitted(task, tiny_backbone(), waves(), Trace(selection), start="zero-shot")
    kept = result.record.method_report["selection"]["kept"]
    assert kept == [f"backbone.encoder.block.0.layer.0.SelfAttention.{name}" for name in ("q", "k", "v")]
