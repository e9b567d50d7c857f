"""Fine-tune an anomaly detector, find anomalies with it, and measure it."""

from collections.abc import Sequence

import pandas as pd
from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.base.processes import is_main_process
from tracetune.data.panels import Panel
from tracetune.data.table_files import marks_in_words, write_frame
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.estimators.anomaly.card import compared_by
from tracetune.estimators.anomaly.evaluation import has_both
from tracetune.estimators.anomaly.thresholds import RollingQuantile, Threshold
from tracetune.recipes.anomaly.report import alarm_line, events_table, metric_rows, series_counted
from tracetune.recipes.anomaly.settings import (
    UNTUNED,
    DetectConfig,
    DetectorChoice,
    EvaluateConfig,
    FinetuneConfig,
    ScorerChoice,
)
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config, refuse_fit_options
from tracetune.recipes.outputs import check_outputs, write_series
from tracetune.report.pages import where_drawn, write_plot
from tracetune.report.tables import print_table
from tracetune.tasks.anomaly.scores.scorer import Scorer, scorer_named
from tracetune.training.progress import ProgressBar


def finetune(config: FinetuneConfig) -> AnomalyDetector:
    """Learn the normal part of a table, fine-tune the model on it where a method is given, and save the detector."""
    if config.method.method == UNTUNED:
        refuse_fit_options(config)
    with finetune_run(config.run) as device:
        panel, labels = config.source.labelled(config.scoring.label_column, config.scoring.labels)
        base = AnomalyDetector.from_pretrained(config.backbone.model, device=device)
        scoring = config.scoring
        tuned = base.fit(
            panel,
            None if config.method.method == UNTUNED else fit_config(config),
            labels=labels,
            loss=config.method.loss,
            scorer=_scorer(scoring),
            contamination=scoring.contamination,
            false_alarm_rate=scoring.false_alarm_rate,
            label_column=scoring.label_column,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            tuned.save_pretrained(config.run.folder)
            _report(tuned, config, config.run.folder, measurable=labels is not None and any(map(has_both, labels)))
    return tuned


def _panel(source: DataSource, detector: AnomalyDetector) -> Panel:
    """Return the series to look through; a column of labels has no part in it."""
    if source.dataset is not None:
        return source.panel()
    return source.reading(detector.remembered, left_out=(detector.label_column,)).panel


def detect(config: DetectConfig) -> pd.DataFrame:
    """Write the scores and alarms of every step, and the events that they make."""
    run = config.run
    inputs = config.source.data, config.detector.model
    check_outputs([run.output, run.events], run.plot, inputs, overwrite=run.overwrite)
    detector = _load(config.detector, run.device)
    panel = _panel(config.source, detector)
    threshold = _threshold(config.detector)
    reference = config.detector.reference
    scores = detector.detect(panel, threshold, reference=reference)
    events = detector.events(panel, threshold, reference=reference)
    write_series(scores, run.output, panel.origin)
    console = Console(highlight=False, soft_wrap=True)
    if run.events is not None:
        write_series(events, run.events, panel.origin, quiet=True)
    if run.plot is not None:
        figure = detector.plot(panel, threshold, reference=reference)
        write_plot(figure, run.plot, f"Events in {config.source.name}", {"Events": events})
    if len(events):
        print_table(*events_table(events))
    found = f"{len(events)} event{'' if len(events) == 1 else 's'}"
    written = f"Written to {run.output}{marks_in_words(panel.origin.marks, run.output)}"
    console.print(f"{found} in {len(scores):,} steps. {written}.", markup=False)
    _print_threshold(detector, config.detector)
    if run.plot is not None:
        console.print(where_drawn(run.plot), markup=False)
    return events


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Measure a detector on a table with labels."""
    run = config.run
    inputs = config.source.data, config.labels, config.detector.model
    check_outputs([run.output], run.plot, inputs, overwrite=run.overwrite)
    detector = _load(config.detector, run.device)
    label_column = config.label_column or detector.label_column
    others = (detector.label_column,) if label_column != detector.label_column else ()
    panel, labels = config.source.labelled(label_column, config.labels, detector.remembered, others)
    threshold, reference = _threshold(config.detector), config.detector.reference
    found = detector.evaluate(
        panel, labels, label_column=label_column, window=config.window, threshold=threshold, reference=reference
    )
    if run.output is not None:
        write_frame(found, run.output)
    if run.plot is not None:
        assert labels is not None, "they were measured by"
        figure = detector.plot(panel, threshold, labels=labels, reference=reference)
        write_plot(figure, run.plot, f"Events and labels of {config.source.name}", {"Metrics": found})
    print_table(f"Anomaly detection{series_counted(found)}", metric_rows(found))
    _print_threshold(detector, config.detector)
    if run.plot is not None:
        Console(highlight=False, soft_wrap=True).print(where_drawn(run.plot), markup=False)
    return found


def _scorer(choice: ScorerChoice) -> Scorer:
    return scorer_named(choice.scorer, widths=choice.widths) if choice.widths else scorer_named(choice.scorer)


def _threshold(choice: DetectorChoice) -> Threshold | float | None:
    return choice.threshold if choice.rolling is None else RollingQuantile(choice.rolling, choice.level)


def _print_threshold(detector: AnomalyDetector, choice: DetectorChoice) -> None:
    """Print what the detector's own threshold is and rests on, where no other one was asked for."""
    if choice.threshold is None and choice.rolling is None:
        assert detector.learned is not None, "it was loaded"
        Console(highlight=False, soft_wrap=True).print(alarm_line(detector.learned, choice.reference), markup=False)


def _load(choice: DetectorChoice, device: str) -> AnomalyDetector:
    detector = AnomalyDetector.from_pretrained(choice.folder, base=choice.base, device=device)
    if detector.learned is None:
        raise InputError(
            f"{choice.model!r} is a foundation model, which knows no normal part. Expected --model FOLDER: a detector "
            "that `tracetune finetune --task anomaly` saved."
        )
    return detector


def _report(tuned: AnomalyDetector, config: FinetuneConfig, output: str, *, measurable: bool) -> None:
    assert tuned.trace is not None, "it was fitted"
    if tuned.trace["method"] is not None:
        print_candidates(f"Losses on validation ({compared_by(tuned.trace)})", tuned.trace)
    assert tuned.learned is not None, "it was fitted"
    Console(highlight=False).print(alarm_line(tuned.learned))
    verbs: dict[str, Sequence[str]] = {"detect": ()}
    if measurable:
        verbs["evaluate"] = () if config.scoring.labels is None else ("--labels", config.scoring.labels)
    print_next_commands(config.source, output, verbs, seen=True)
