"""The anomaly model: samples keep to themselves, by either loss."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, PATCH, tiny_backbone
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.backbones.backbone import Backbone
from tracetune.data.batch_source import Batch
from tracetune.selection.estimates.row_independence import rows_independent
from tracetune.selection.gates import Gates
from tracetune.selection.validation import model_loss
from tracetune.tasks.anomaly.hidden_patches import normal_data
from tracetune.tasks.anomaly.model import LOSSES, METRIC, AnomalyDetection, AnomalyModel
from tracetune.tasks.anomaly.neighbouring_windows import neighbouring_data
from tracetune.tasks.anomaly.window_embeddings import resampled
from tracetune.tasks.task import task_model_of


def batch_of(loss: str, backbone: Backbone) -> Batch:
    values = [np.random.default_rng(0).normal(size=(3, 400)).cumsum(axis=1).astype(np.float32)]
    if loss == METRIC:
        data = neighbouring_data(
            values, [300], lambda row: (32,), lambda windows: resampled(windows, backbone), None, 0
        )
    else:
        data = normal_data(values, CONTEXT, PATCH, None, 0)
    return data.train.__getitems__(list(range(0, 64, 4)))


@pytest.mark.parametrize("loss", LOSSES)
def test_samples_keep_to_themselves_so_that_each_has_gates_of_its_own(loss: str) -> None:
    backbone = tiny_backbone()
    task = AnomalyDetection(CONTEXT, loss=loss)
    start = task.zero_shot(backbone) if loss == METRIC else task.model(backbone, task.default_head)
    model = add_lora(start, LoraOptions()).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    batch = batch_of(loss, backbone)
    assert rows_independent(Gates(model), batch, model_loss)
    inner = task_model_of(model, AnomalyModel)
    assert inner.labels[0] in batch
    tokens = batch["views"].shape[1] * 2 if loss == METRIC else CONTEXT // PATCH  # two patches a view
    assert inner.tokens_per_sample == tokens
