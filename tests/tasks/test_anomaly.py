"""The anomaly model: windows keep to themselves."""

import numpy as np
import torch

from tests.tiny import CONTEXT, PATCH, tiny_backbone
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.selection.gates import Gates
from tracetune.selection.row_independence import rows_independent
from tracetune.selection.validation import model_loss
from tracetune.tasks.anomaly import AnomalyDetection, normal_data


def test_windows_keep_to_themselves_so_that_each_has_gates_of_its_own() -> None:
    values = np.random.default_rng(0).normal(size=(3, 400)).cumsum(axis=1).astype(np.float32)
    batch = normal_data([values], CONTEXT, PATCH, None, 0).train.__getitems__(list(range(0, 64, 4)))
    task = AnomalyDetection(CONTEXT)
    model = add_lora(task.model(tiny_backbone(), task.default_head), LoraOptions()).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    assert rows_independent(Gates(model), batch, model_loss)
