"""Fine-tune a classifier, classify series with it, and measure it."""

import pandas as pd
from rich.console import Console

from tracetune.base.processes import is_main_process
from tracetune.estimators.classification.classifier import Classifier
from tracetune.estimators.classification.labelled_tables import LabelledTable, read_labelled
from tracetune.evaluation.class_evaluation import ClassEvaluation
from tracetune.fitting.methods.method import method_named
from tracetune.heads.classification_config import ClassificationHeadConfig
from tracetune.recipes.classes_output import write_classes
from tracetune.recipes.classification.settings import (
    ClassificationHeadChoice,
    ClassifyConfig,
    EvaluateConfig,
    FinetuneConfig,
    LabelledSource,
)
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.outputs import check_outputs
from tracetune.recipes.settings.classifiers import ClassifierChoice
from tracetune.report.class_evaluation import report_class_evaluation
from tracetune.training.progress import ProgressBar


def _head(choice: ClassificationHeadChoice) -> ClassificationHeadConfig:
    return ClassificationHeadConfig(
        solver=choice.head_solver,
        convolutions=choice.convolutions,
        stretches=choice.stretches,
        competing_kernels=choice.competing_kernels,
    )


def finetune(config: FinetuneConfig) -> Classifier:
    """Fine-tune a classifier on labelled series and save its adapter."""
    with finetune_run(config.run) as device:
        table = _read(config.source)
        base = Classifier.from_pretrained(config.backbone.model, config.backbone.context_length, device=device)
        tuned = base.fit(
            table,
            config=fit_config(config, _head(config.head)),
            validation_share=config.labels.validation_share,
            folds=config.labels.folds,
            class_weights=config.labels.class_weights,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            tuned.save_pretrained(config.run.folder)
            _report(tuned, config.source, config.run.folder)
    return tuned


def classify(config: ClassifyConfig) -> pd.DataFrame:
    """Write the class of every series, and the probability of each class."""
    inputs = config.source.data, config.classifier.model
    check_outputs([config.run.output], config.run.plot, inputs, overwrite=config.run.overwrite)
    classifier = _load(config.classifier, config.run.device)
    series = _read(config.source, classifier, labelled=False)
    table = classifier.predict_df(series, batch_size=config.run.batch_size)
    write_classes(
        table,
        "series",
        series.marks,
        config.run,
        f"Classes of {config.source.name}",
        lambda: classifier.plot(series, probabilities=table.iloc[:, 2:].to_numpy(float)),
    )
    return table


def evaluate(config: EvaluateConfig) -> ClassEvaluation:
    """Measure a classifier on labelled series."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.classifier.model), overwrite=run.overwrite)
    classifier = _load(config.classifier, run.device)
    found = classifier.evaluate(_read(config.source, classifier), batch_size=run.batch_size)
    report_class_evaluation(found, config.source.name, run.output, run.plot)
    return found


def _read(source: LabelledSource, classifier: Classifier | None = None, *, labelled: bool = True) -> LabelledTable:
    """Read the series of a command, as a classifier remembers such tables, and say what was understood of them."""
    remembered = None if classifier is None else classifier.remembered
    table = read_labelled(source.path, source.label_column, source.keywords(), remembered=remembered, labelled=labelled)
    if is_main_process():
        Console(highlight=False, soft_wrap=True).print(f"{source.name}: {table.line}", markup=False)
    return table


def _load(choice: ClassifierChoice, device: str) -> Classifier:
    return Classifier.from_pretrained(choice.folder, base=choice.base, device=device)


def _report(tuned: Classifier, source: LabelledSource, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    counts = tuned.trace["data"]
    title = f"Cross-entropy of {counts['held_out']} series that were held out"
    then = f"It then trained on all {counts['samples']} series."
    if method_named(tuned.trace["method"]).adapts_backbone:
        then += " Each training step read one scale of the series; what was compared, all of them."
    print_candidates(title, tuned.trace, then)
    print_next_commands(source, output, {"classify": (), "evaluate": ()}, seen=True)
