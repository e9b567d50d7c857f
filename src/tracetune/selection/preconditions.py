"""What a selection needs of model and training, checked before the first step instead of found out at the last."""

from typing import Any

from torch import nn

from tracetune.base.errors import InputError
from tracetune.selection.layers import unwrapped

_INITIALISATIONS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of PEFT's ``init_lora_weights`` that leave the base weights as they are, and begin with B A = 0 or random."""


def refuse_changed_base_weights(model: nn.Module) -> None:
    """Refuse adapters whose initialisation took their product out of the base weights (PiSSA, OLoRA, LoftQ, ...).

    Without its adapter, such a layer is not the layer of the base model: it cannot be closed, shrunk or deleted.

    Raises:
        InputError: such an initialisation, by the name that PEFT gives it.
    """
    configs: dict[str, Any] = getattr(unwrapped(model), "peft_config", {})
    for adapter, config in configs.items():
        initialisation = getattr(config, "init_lora_weights", True)
        if initialisation not in _INITIALISATIONS:
            raise InputError(
                f"Expected adapters that begin at the base model, found init_lora_weights={initialisation!r} in "
                f"{adapter!r}: it changes the base weights, so that a layer without its adapter is not that of the "
                "base model. Use the default, 'gaussian', 'orthogonal' or 'eva'."
            )
