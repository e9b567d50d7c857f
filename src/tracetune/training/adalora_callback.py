"""PEFT's AdaLoRA under the Hugging Face Trainer: ranks fall at the right moment, and checkpoints fit the model."""

from pathlib import Path
from typing import Protocol

from peft import PeftModel
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from tracetune.adapters.adalora import drop_masked_ranks, load_allocator, orthogonality, save_allocator
from tracetune.base.errors import InputError
from tracetune.base.step_files import StepFiles
from tracetune.selection.layers import unwrapped
from tracetune.training.checkpoint_steps import checkpoint_steps

STATE_FOLDER = "adalora_state"


class AdaLoraCallback(TrainerCallback):
    """Runs PEFT's rank allocator between the optimizer's step and ``zero_grad``, the only place with gradients.

    What PEFT leaves to its caller, and what is done about it:

    - ``PeftModel.forward`` goes past AdaLoRA's regulariser: it is added to the training loss here, and only there,
      so that validation losses stay comparable.
    - PEFT saves trimmed weights, which fit neither the model in training nor another checkpoint's ranks: while
      training runs, the ranks are kept here, so that checkpoints hold all; at the end the masked ones are dropped.
    - The allocator's averages are in no checkpoint: they are written to ``adalora_state`` in the output folder, before
      the checkpoint they belong to, so that a resumed run goes on alike.
    - A model with more ranks than the target does not compete for the best checkpoint.
    """

    def __init__(self) -> None:
        self._run: _Allocation | None = None

    @property
    def run(self) -> "_Allocation":
        """Return the allocation of the training that is under way."""
        if self._run is None:
            raise InputError("AdaLoRA allocates ranks while training runs: call trainer.train() first.")
        return self._run

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        **kwargs: object,
    ) -> None:
        """Add the regulariser, and take up the state of an interrupted run."""
        files = StepFiles(Path(args.output_dir) / STATE_FOLDER, writable=args.should_save)
        self._run = _Allocation(unwrapped(model), files, state.global_step)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Score and allocate ranks; steps count from 1, so that the last of them is ``total_step``."""
        self.run.allocate(state.global_step + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Forget the best checkpoint while ranks still fall; write the state that a checkpoint will need."""
        if state.global_step <= self.run.last_change:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None
        if control.should_save:
            self.run.save(state.global_step)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Write the state that a checkpoint will need."""
        if control.should_save:
            self.run.save(state.global_step)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Write the state where a better loss is going to make a checkpoint."""
        if args.save_strategy == SaveStrategy.BEST and self._run is not None:
            self._run.save(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Keep the states of the checkpoints that are there."""
        self.run.save(state.global_step)
        self.run.files.keep(checkpoint_steps(Path(args.output_dir)))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Drop the masked ranks for good."""
        run = self.run
        self.close()
        run.finish()
        run.files.keep(checkpoint_steps(Path(args.output_dir)))

    def close(self) -> None:
        """Take the regulariser out of the model."""
        if self._run is not None:
            self._run.close()
            self._run = None


class _HasLoss(Protocol):
    loss: Tensor | None


class _Allocation:
    """Ranks of one training."""

    def __init__(self, model: PeftModel, files: StepFiles, step: int) -> None:
        self.files = files
        self._model = model
        self._config = model.peft_config[model.active_adapter]
        self._ranks = load_allocator(files.path(step), model) if step else None
        self._hook = model.register_forward_hook(_add_regulariser)

    @property
    def last_change(self) -> int:
        """Return the step after which ranks stay as they are."""
        return self._config.total_step - self._config.tfinal

    def allocate(self, step: int) -> None:
        """Update sensitivities and ranks in the optimizer step ``step``."""
        self._config.rank_pattern = self._ranks
        self._model.base_model.update_and_allocate(step)
        self._ranks, self._config.rank_pattern = self._config.rank_pattern, None

    def save(self, step: int) -> None:
        """Write the state after ``step``."""
        if self.files.writable:
            save_allocator(self.files.new(step), self._model, self._ranks)

    def close(self) -> None:
        """Take the regulariser out of the model."""
        self._hook.remove()

    def finish(self) -> None:
        """Take the masked ranks out of the model."""
        if self._ranks is not None:
            drop_masked_ranks(self._model, self._ranks)


def _add_regulariser(model: PeftModel, inputs: object, output: _HasLoss) -> None:
    if model.training and output.loss is not None:
        weight = model.peft_config[model.active_adapter].orth_reg_weight
        output.loss = output.loss + weight * orthogonality(model)
