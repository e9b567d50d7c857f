"""Labelled texts as a fit takes them, and the default settings of fine-tuning on texts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import Method, method_named
from tracetune.fitting.names import NONE
from tracetune.tasks.task import TrainingData
from tracetune.tasks.text import TextClassification
from tracetune.training.config import TrainingConfig

if TYPE_CHECKING:
    from tracetune.estimators.text.texts import TextColumns

_ADAPTER_RATE, _FULL_RATE = 2e-3, 5e-5


@dataclass(frozen=True)
class FitTexts:
    """Labelled texts as a fit takes them.

    Attributes:
        task: for these classes.
        data: training and validation texts.
        classes: names, in the order of the outputs.
        pairs: whether they are pairs.
        columns: of the table that they come from; None where that was no table.
        cut: how many were too long.
    """

    task: TextClassification
    data: TrainingData
    classes: list[str]
    pairs: bool
    columns: "TextColumns | None"
    cut: int


def text_fit_config(method: Method | str = "trace", seed: int = 0) -> FitConfig:
    """Return how texts are fine-tuned where nothing else is said: three epochs in batches of 16, from a solved head.

    Adapters take a rate of 2e-3; all weights, which are pretrained, one of 5e-5. Texts have no periods, and validation
    texts are like later ones, so that what was trained is not shrunk.
    """
    chosen = method_named(method) if isinstance(method, str) else method
    rate = _FULL_RATE if chosen.name == "full" else _ADAPTER_RATE
    return FitConfig(
        method=chosen,
        shrink=NONE,
        head_training=TrainingConfig(num_train_epochs=10, seed=seed),
        training=TrainingConfig(learning_rate=rate, num_train_epochs=3, batch_size=16, evaluations=6, seed=seed),
    )
