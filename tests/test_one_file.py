"""A task, a backbone, a head, a method and a score are one file each: those that CONTRIBUTING.md shows, as they stand.

The fits below run through the package as it is.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import tiny_backbone
from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.methods import METHODS, Lora, Method, Trace
from tracetune.heads.config import HeadConfig
from tracetune.heads.kinds import HEADS
from tracetune.selection.config import SelectionConfig
from tracetune.selection.scores.score import SCORES
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

CONTEXT, HORIZON = 32, 4
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def shown_files() -> dict[str, str]:
    """Return the whole files in CONTRIBUTING.md, by what they add."""
    return dict(re.findall(r"^### An? (\w+)\n.*?^```python\n(.*?)^```", CONTRIBUTING.read_text(), re.M | re.S))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModuleType]]:
    """The files of CONTRIBUTING.md, imported; what they register is known to the tests of this file only."""
    folder = tmp_path_factory.mktemp("recipes")
    modules = {}
    for name, content in shown_files().items():
        path = folder / f"recipe_{name}.py"
        path.write_text(content)
        specification = importlib.util.spec_from_file_location(path.stem, path)
        assert specification is not None and specification.loader is not None
        modules[name] = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(modules[name])
    assert list(modules) == ["backbone", "head", "score", "method", "task"]
    yield modules
    del HEADS["last_patch"], SCORES["negative_index"], METHODS["last_layer"]


def test_the_architecture_page_says_how_long_they_are() -> None:
    page = CONTRIBUTING.with_name("docs") / "architecture.md"
    said = re.findall(r"^\*\*An? (\w+)\*\* \((\d+) lines\)", page.read_text(), re.M)
    assert {name: int(count) for name, count in said} == {
        name: content.count("\n") for name, content in shown_files().items()
    }


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


def toy_backbone(files: dict[str, ModuleType]) -> Backbone:
    torch.manual_seed(0)
    backbone: Backbone = files["backbone"].ToyBackbone()
    return backbone


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


def test_a_task_a_backbone_and_a_method_of_one_file_each(files: dict[str, ModuleType]) -> None:
    data = TrainingData(Ranges(400, 0), Ranges(200, 1))
    result = fitted(files["task"].RangeTask(), toy_backbone(files), data, METHODS["last_layer"]())
    found = losses(result)
    assert list(found) == ["head", "last_layer"]
    nothing_learned = data.validation.range.square().mean().item()  # type: ignore[attr-defined]
    assert found["last_layer"] < found["head"] < 0.9 * nothing_learned
    assert result.record.to_json()["config"]["method"] == {"name": "last_layer", "layers": 1}
    with pytest.raises(InputError, match="layers between 1 and 2, found 3"):
        fitted(files["task"].RangeTask(), toy_backbone(files), data, files["method"].LastLayer(3))


def test_a_head_of_one_file_is_solved_and_trained_on_a_backbone_of_one_file(files: dict[str, ModuleType]) -> None:
    result = fitted(Forecasting(HORIZON, CONTEXT), toy_backbone(files), waves(), Lora(), head=HeadConfig("last_patch"))
    found = losses(result)
    assert list(found) == ["head", "lora"]  # this backbone does not forecast by itself
    assert found["head"] < 0.1
    assert result.record.parameters["head"] == (12 + 1) * HORIZON


def test_a_score_of_one_function_selects(files: dict[str, ModuleType]) -> None:
    selection = SelectionConfig(keep=3, score="negative_index", final_step=20, scoring_batches=1, cost_share=1.0)
    task = Forecasting(HORIZON, CONTEXT)
    result = fitted(task, tiny_backbone(), waves(), Trace(selection), start="zero-shot")
    kept = result.record.method_report["selection"]["kept"]
    assert kept == [f"backbone.encoder.block.0.layer.0.SelfAttention.{name}" for name in ("q", "k", "v")]
