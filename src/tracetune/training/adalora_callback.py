"""PEFT's AdaLoRA under the Hugging Face Trainer: ranks fall at the right moment, and checkpoints fit the model."""

from pathlib import Path
from typing import Any

from peft import PeftModel
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tracetune.adapters.adalora import drop_masked_ranks, load_allocator, orthogonality, save_allocator
from tracetune.selection.layers import unwrapped

STATE_FILE = "adalora_state.safetensors"


class AdaLoraCallback(TrainerCallback):
    """Runs PEFT's rank allocator between the optimizer's step and ``zero_grad``, the only place with gradients.

    What PEFT leaves to its caller, and what is done about it:

    - ``PeftModel.forward`` goes past AdaLoRA's regulariser: it is added to the training loss here, and only there,
      so that validation losses stay comparable.
    - PEFT saves trimmed weights, which fit neither the model in training nor another checkpoint's ranks: while
      training runs, the ranks are kept here, so that checkpoints hold all; at the end the masked ones are dropped.
    - The allocator's averages are in no checkpoint: they are written beside it, so that a resumed run goes on alike.
    - A model with more ranks than the target does not compete for the best checkpoint.
    """

    def __init__(self) -> None:
        self._model: PeftModel | None = None
        self._ranks: dict[str, list[bool]] | None = None
        self._hook: RemovableHandle | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the regulariser, and take up the state of an interrupted run."""
        self._model = unwrapped(kwargs["model"])
        self._ranks = None
        if state.global_step:
            self._ranks = load_allocator(_checkpoint(args, state) / STATE_FILE, self._model)
        self._hook = self._model.register_forward_hook(_add_regulariser)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score and allocate ranks; steps count from 1, so that the last of them is ``total_step``."""
        assert self._model is not None, "training begins before its first step"
        config = self._model.peft_config[self._model.active_adapter]
        config.rank_pattern = self._ranks
        self._model.base_model.update_and_allocate(state.global_step + 1)
        self._ranks, config.rank_pattern = config.rank_pattern, None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the best checkpoint while ranks still fall."""
        assert self._model is not None, "training begins before its first step"
        config = self._model.peft_config[self._model.active_adapter]
        if state.global_step <= config.total_step - config.tfinal:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the allocator's state beside the checkpoint."""
        if self._model is not None and args.should_save:
            save_allocator(_checkpoint(args, state) / STATE_FILE, self._model, self._ranks)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop the masked ranks for good."""
        assert self._model is not None and self._hook is not None, "training begins before it ends"
        self._hook.remove()
        if self._ranks is not None:
            drop_masked_ranks(self._model, self._ranks)


def _add_regulariser(model: PeftModel, inputs: Any, output: Any) -> None:
    if model.training and output.loss is not None:
        weight = model.peft_config[model.active_adapter].orth_reg_weight
        output.loss = output.loss + weight * orthogonality(model)


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
