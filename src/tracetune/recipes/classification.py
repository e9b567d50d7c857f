"""Fine-tune a classifier, classify series with it, and measure it."""

import shlex
from typing import Any

from rich.console import Console

from tracetune.base.files import require_distinct, require_place
from tracetune.base.processes import is_main_process
from tracetune.data.table_files import require_table_path, write_frame
from tracetune.estimators.class_evaluation import ClassEvaluation
from tracetune.estimators.classifier import Classifier
from tracetune.recipes.classification_report import print_evaluation
from tracetune.recipes.configs.classification import (
    ClassifierChoice,
    ClassifyConfig,
    EvaluateConfig,
    FinetuneConfig,
    LabelledSource,
)
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.confusion_plot import confusion_figure
from tracetune.report.tables import print_table
from tracetune.training.progress import ProgressBar

_READING = ("id_column", "timestamp_column", "target", "layout", "separator", "decimal", "missing")


def finetune(config: FinetuneConfig) -> Classifier:
    """Fine-tune a classifier on labelled series and save its adapter."""
    with finetune_run(config.run) as device:
        base = Classifier.from_pretrained(config.backbone.model, config.backbone.context_length, device=device)
        tuned = base.fit(
            config.source.data,
            config=fit_config(config),
            validation_share=config.labels.validation_share,
            folds=config.labels.folds,
            class_weights=config.labels.class_weights,
            label_column=config.source.label_column,
            callbacks=[ProgressBar()],
            **_reading(config.source),
        )
        if is_main_process():
            assert config.run.output is not None, "checked with the configuration"
            tuned.save_pretrained(config.run.output)
            _report(tuned, config.run.output)
    return tuned


def classify(config: ClassifyConfig) -> Any:
    """Write the class of every series, and the probability of each class."""
    require_table_path(config.run.output, config.run.overwrite)
    require_distinct([config.run.output], (config.source.data, config.classifier.model))
    classifier = _load(config.classifier, config.run.device)
    table = classifier.predict_df(
        config.source.data,
        label_column=config.source.label_column,
        batch_size=config.run.batch_size,
        **_reading(config.source),
    )
    write_frame(table, config.run.output)
    Console().print(f"{len(table):,} series classified. Written to {config.run.output}.")
    return table


def evaluate(config: EvaluateConfig) -> ClassEvaluation:
    """Measure a classifier on labelled series."""
    if config.plot is not None:
        require_place(config.plot)
        require_distinct([config.plot], (config.source.data, config.classifier.model))
    classifier = _load(config.classifier, config.device)
    found = classifier.evaluate(
        config.source.data,
        label_column=config.source.label_column,
        batch_size=config.batch_size,
        **_reading(config.source),
    )
    print_evaluation(found)
    if config.plot is not None:
        confusion_figure(found.confusion, config.plot)
        Console().print(f"Confusion matrix drawn to {config.plot}.")
    return found


def _reading(source: LabelledSource) -> dict[str, Any]:
    """Return what is pinned about the table."""
    return {name: value for name in _READING if (value := getattr(source, name)) not in (None, ())}


def _load(choice: ClassifierChoice, device: str) -> Classifier:
    assert choice.model is not None, "checked with the configuration"
    return Classifier.from_pretrained(choice.model, base=choice.base, device=device)


def _report(tuned: Classifier, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    counts = tuned.trace["data"]
    print_table(f"Cross-entropy of {counts['held_out']} series that were held out", candidate_rows(tuned.trace))
    console = Console(highlight=False)
    console.print(f"{verdict(tuned.trace)} It then trained on all {counts['samples']} series.")
    console.print(f"\nSaved to {output}. Go on with:")
    for command in ("classify", "evaluate"):
        console.print(f"  tracetune {command} test.ts --model {shlex.quote(output)}", soft_wrap=True, markup=False)
