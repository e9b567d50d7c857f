"""The settings that classifiers are fine-tuned with by default."""

from tracetune.fitting.config import FitConfig
from tracetune.fitting.names import KEPT
from tracetune.training.config import TrainingConfig


def classifier_config() -> FitConfig:
    """Return the default settings of classifiers: small batches, since samples are few."""
    return FitConfig(head_start=KEPT, training=TrainingConfig(num_train_epochs=3, batch_size=16, evaluations=2))
