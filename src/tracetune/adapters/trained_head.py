"""The trained head inside a PEFT model."""

from peft import PeftModel
from torch import nn


def trained_head(model: PeftModel) -> nn.Module:
    """Return the trained head inside a PEFT model: PEFT keeps a copy of the original beside it."""
    return model.base_model.model.head.modules_to_save[model.active_adapter]
