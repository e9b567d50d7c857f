"""Training that ends at a given step of a longer schedule."""

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EndsAtStep(TrainerCallback):
    """Measures and saves the model after this step, and ends the training; learning rates are those of the schedule.

    Args:
        step: at least 1.
    """

    def __init__(self, step: int) -> None:
        self.step = max(1, step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """End a training that has come so far."""
        if state.global_step >= self.step:
            control.should_evaluate = control.should_save = True
            control.should_training_stop = True
