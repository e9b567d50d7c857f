"""Fine-tune a text classifier, classify texts with it, and measure it."""

import pandas as pd

from tracetune.base.processes import is_main_process
from tracetune.data.text_files import marks_of, read_text_table
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.evaluation.class_evaluation import ClassEvaluation
from tracetune.heads.pooled import PooledHeadConfig
from tracetune.recipes.classes_output import write_classes
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.outputs import check_outputs
from tracetune.recipes.settings.classifiers import ClassifierChoice
from tracetune.recipes.text.settings import ClassifyConfig, EvaluateConfig, FinetuneConfig, TextSource
from tracetune.report.class_evaluation import report_class_evaluation
from tracetune.training.progress import ProgressBar


def finetune(config: FinetuneConfig) -> TextClassifier:
    """Fine-tune a text classifier on a table and save it."""
    with finetune_run(config.run) as device:
        frame = read_texts(config.source)
        chosen = config.backbone
        assert chosen.model is not None, "checked with the configuration"
        settings = fit_config(config, PooledHeadConfig(chosen.pooling))
        base = TextClassifier.from_pretrained(chosen.model, chosen.max_length, layers=chosen.layers, device=device)
        tuned = base.fit(
            frame,
            None,
            settings,
            validation_share=config.labels.validation_share,
            text_column=config.source.text_column or None,
            label_column=config.source.label_column,
            class_weights=config.labels.class_weights,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            tuned.save_pretrained(config.run.folder)
            _report(tuned, config.source, config.run.folder)
    return tuned


def classify(config: ClassifyConfig) -> pd.DataFrame:
    """Write every text with its class, and the probability of each class."""
    inputs = config.source.data, config.classifier.model
    check_outputs([config.run.output], config.run.plot, inputs, overwrite=config.run.overwrite)
    classifier = _load(config.classifier, config.run.device)
    frame = read_texts(config.source)
    columns = config.source.text_column or None
    table = classifier.predict_df(frame, text_column=columns, batch_size=config.run.batch_size)
    probabilities = table.iloc[:, -len(classifier.classes) :].to_numpy(float)
    write_classes(
        table,
        "texts",
        marks_of(frame),
        config.run,
        f"Classes of {config.source.name}",
        lambda: classifier.plot(frame, text_column=columns, probabilities=probabilities),
    )
    return table


def evaluate(config: EvaluateConfig) -> ClassEvaluation:
    """Measure a text classifier on labelled texts."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.classifier.model), overwrite=run.overwrite)
    classifier = _load(config.classifier, run.device)
    found = classifier.evaluate(
        read_texts(config.source),
        text_column=config.source.text_column or None,
        label_column=config.source.label_column,
        batch_size=run.batch_size,
    )
    report_class_evaluation(found, config.source.name, run.output, run.plot)
    return found


def read_texts(source: TextSource) -> pd.DataFrame:
    """Read the table of a command."""
    return read_text_table(source.path, source.encoding)


def _load(choice: ClassifierChoice, device: str) -> TextClassifier:
    return TextClassifier.from_pretrained(choice.folder, base=choice.base, device=device)


def _report(tuned: TextClassifier, source: TextSource, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    print_candidates("Losses on validation (cross-entropy)", tuned.trace)
    print_next_commands(source, output, {"classify": (), "evaluate": ()}, seen=True)
