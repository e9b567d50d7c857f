"""The settings that classifiers are fine-tuned with by default."""

from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import KEPT
from tracetune.training.config import TrainingConfig


def classifier_config() -> FitConfig:
    """Return how classifiers are fine-tuned by default: few samples, so small batches and many passes over them."""
    return FitConfig(
        head_start=KEPT, training=TrainingConfig(learning_rate=1e-3, num_train_epochs=10, batch_size=16, evaluations=2)
    )
