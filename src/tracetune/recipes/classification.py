"""Fine-tune a classifier, classify series with it, and measure it."""

import shlex

import pandas as pd
from rich.console import Console

from tracetune.base.places import require_distinct
from tracetune.base.processes import is_main_process
from tracetune.data.table_files import require_table_path, write_frame
from tracetune.data.ts_files import LabelledFile, read_ts
from tracetune.estimators.classifier import Classifier
from tracetune.recipes.configs.classification import ClassifierChoice, ClassifyConfig, EvaluateConfig, FinetuneConfig
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import print_table
from tracetune.training.progress import ProgressBar


def finetune(config: FinetuneConfig) -> Classifier:
    """Fine-tune a classifier on labelled series and save its adapter."""
    with finetune_run(config.run) as device:
        train = _series(config.source.data)
        base = Classifier.from_pretrained(config.backbone.model, config.backbone.context_length, device=device)
        tuned = base.fit(
            train.values,
            train.labels,
            fit_config(config),
            validation_share=config.labels.validation_share,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            assert config.run.output is not None, "checked with the configuration"
            tuned.save_pretrained(config.run.output)
            _report(tuned, config.run.output)
    return tuned


def classify(config: ClassifyConfig) -> pd.DataFrame:
    """Write the class of every series, and the probability of each class."""
    require_table_path(config.run.output, config.run.overwrite)
    require_distinct([config.run.output], (config.source.data, config.classifier.model))
    classifier = _load(config.classifier, config.run.device)
    series = _series(config.source.data)
    probabilities = classifier.predict(series.values, batch_size=config.run.batch_size)
    table = pd.DataFrame({"item_id": range(len(probabilities))})
    table["predictions"] = [classifier.classes[number] for number in probabilities.argmax(axis=1)]
    for number, name in enumerate(classifier.classes):
        table[name] = probabilities[:, number]
    write_frame(table, config.run.output)
    Console().print(f"{len(table):,} series classified. Written to {config.run.output}.")
    return table


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Measure a classifier on labelled series."""
    classifier = _load(config.classifier, config.device)
    series = _series(config.source.data)
    found = classifier.evaluate(series.values, series.labels, batch_size=config.batch_size)
    print_table("Classification", found.to_dict("records"))  # type: ignore[arg-type]
    return found


def _load(choice: ClassifierChoice, device: str) -> Classifier:
    assert choice.model is not None, "checked with the configuration"
    return Classifier.from_pretrained(choice.model, base=choice.base, device=device)


def _series(path: str | None) -> LabelledFile:
    assert path is not None, "checked with the configuration"
    return read_ts(path)


def _report(tuned: Classifier, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    print_table("Losses on validation (cross-entropy)", candidate_rows(tuned.trace))
    console = Console(highlight=False)
    console.print(verdict(tuned.trace))
    console.print(f"\nSaved to {output}. Go on with:")
    for command in ("classify", "evaluate"):
        console.print(f"  tracetune {command} test.ts --model {shlex.quote(output)}", soft_wrap=True, markup=False)
