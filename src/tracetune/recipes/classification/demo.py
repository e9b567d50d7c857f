"""Classification in a minute or two: handwritten digits, read line by line as series."""

from dataclasses import replace

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.datasets import load_digits

from tracetune.base.folders import require_empty, staged_folder
from tracetune.data.table_files import write_frame
from tracetune.estimators.classification.classifier import Classifier
from tracetune.estimators.classification.config import classifier_config
from tracetune.fitting.methods.method import method_named
from tracetune.recipes.classification.settings import DemoConfig
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.class_evaluation import print_class_evaluation
from tracetune.report.confusion_plot import confusion_figure
from tracetune.report.tables import print_table
from tracetune.training.progress import ProgressBar

_TRAIN, _TEST = 200, 200


def demo(config: DemoConfig) -> None:
    """Fine-tune on 200 digits, classify 200 others, draw the confusion matrix, save the adapter."""
    require_empty(config.output)
    console = Console(highlight=False)
    train, train_labels, test, test_labels = digits()
    console.print(f"Handwritten digits as series of 64 steps: {len(train)} to learn from, {len(test)} to classify.")
    standard = classifier_config()
    training = replace(standard.training, seed=config.seed)
    fit_config = replace(standard, method=method_named(config.method), training=training)
    base = Classifier.from_pretrained(config.model, device=config.device)
    tuned = base.fit(train, train_labels, fit_config, callbacks=[ProgressBar()])
    assert tuned.trace is not None
    print_table("Cross-entropy of series that were held out", candidate_rows(tuned.trace))
    console.print(verdict(tuned.trace))
    with staged_folder(config.output) as folder:
        tuned.save_pretrained(folder / "adapter")
        reloaded = Classifier.from_pretrained(folder / "adapter", device=config.device)
        chosen = reloaded.classify(test)
        write_frame(long_frame(test, test_labels), folder / "digits.csv")
        write_frame(pd.DataFrame({"predictions": chosen, "truth": test_labels}), folder / "classes.csv")
        found = reloaded.evaluate(test, test_labels)
        confusion_figure(found.confusion, folder / "confusion.png")
    print_class_evaluation(found)
    console.print(f"Written to {config.output}: digits.csv, classes.csv, confusion.png, adapter/ (PEFT's format)")
    then = DemoCommands(config.output, "digits.csv", "adapter", "classification", config.model)
    print_demo_commands(
        [
            then.on_made("classify", output="classified.csv"),
            then.on_made("evaluate"),
            then.importance(tuned.model, "--max-steps", "20"),
        ],
        [then.on_table("finetune", "--label-column", "label"), then.on_table("classify", output="classes.csv")],
    )


def long_frame(series: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return series [S, 1, L] as a table with a row a step."""
    count, steps = len(series), series.shape[-1]
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"digit {number}" for number in range(count)], steps),
            "step": np.tile(np.arange(steps), count),
            "ink": series.ravel(),
            "label": np.repeat(labels, steps),
        }
    )


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return series [S, 1, 64] and labels of digits to learn from, then of others; they ship with scikit-learn."""
    values, labels = load_digits(return_X_y=True)
    series = values[:, None, :]
    return series[:_TRAIN], labels[:_TRAIN], series[_TRAIN : _TRAIN + _TEST], labels[_TRAIN : _TRAIN + _TEST]
