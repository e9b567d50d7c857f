"""Fine-tune an anomaly detector, find anomalies with it, and measure it."""

import pandas as pd
from rich.console import Console
from statsmodels.datasets import elnino

from tracetune.base.errors import InputError
from tracetune.base.folders import require_empty, staged_folder
from tracetune.base.processes import is_main_process
from tracetune.data.panels import Panel
from tracetune.data.table_files import write_frame
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.estimators.anomaly.card import compared_by
from tracetune.estimators.anomaly.thresholds import RollingQuantile, Threshold
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import method_named
from tracetune.recipes.configs.anomaly import (
    UNTUNED,
    DemoConfig,
    DetectConfig,
    DetectorChoice,
    EvaluateConfig,
    FinetuneConfig,
    ScorerChoice,
)
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config, refuse_fit_options
from tracetune.recipes.outputs import check_outputs, write_series
from tracetune.report.pages import where_drawn, write_plot
from tracetune.report.tables import frame_rows, print_table
from tracetune.tasks.anomaly.scores.embedding_scorer import Neighbours
from tracetune.tasks.anomaly.scores.scorer import Scorer, scorer_named
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_FIRST_TEST_YEAR = 1981
_YEAR = 12


def finetune(config: FinetuneConfig) -> AnomalyDetector:
    """Learn the normal part of a table, fine-tune the model on it where a method is given, and save the detector."""
    if config.method.method == UNTUNED:
        refuse_fit_options(config)
    with finetune_run(config.run) as device:
        panel, labels = config.source.labelled(config.scoring.label_column)
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
            assert config.run.output is not None, "checked with the configuration"
            tuned.save_pretrained(config.run.output)
            _report(tuned, config, config.run.output, labelled=labels is not None)
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
    print_table("Events", _shown(events.head(20)))
    found = f"{len(events)} event{'' if len(events) == 1 else 's'}"
    console.print(f"{found} in {len(scores):,} steps. Written to {run.output}.", markup=False)
    if run.plot is not None:
        console.print(where_drawn(run.plot), markup=False)
    return events


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Measure a detector on a table with labels."""
    inputs = config.source.data, config.detector.model
    check_outputs([config.output], config.plot, inputs, overwrite=config.overwrite)
    detector = _load(config.detector, config.device)
    label_column = config.label_column or detector.label_column
    others = (detector.label_column,) if label_column != detector.label_column else ()
    panel, labels = config.source.labelled(label_column, detector.remembered, others)
    threshold, reference = _threshold(config.detector), config.detector.reference
    found = detector.evaluate(
        panel, labels, label_column=label_column, window=config.window, threshold=threshold, reference=reference
    )
    if config.output is not None:
        write_frame(found, config.output)
    if config.plot is not None:
        assert labels is not None, "they were measured by"
        figure = detector.plot(panel, threshold, labels=labels, reference=reference)
        write_plot(figure, config.plot, f"Events and labels of {config.source.name}", {"Metrics": found})
    print_table(f"Anomaly detection{_means(found)}", _by_metric(found))
    if config.plot is not None:
        Console(highlight=False, soft_wrap=True).print(where_drawn(config.plot), markup=False)
    return found


def demo(config: DemoConfig) -> pd.DataFrame:
    """Learn the sea's temperature off Peru from 1950 to 1980, and find the strong El Niños after that."""
    require_empty(config.output)
    console = Console(highlight=False)
    frame = pacific_temperatures()
    train, test = (part.drop(columns="label") for _, part in frame.groupby(frame["time"].dt.year >= _FIRST_TEST_YEAR))
    console.print(f"Sea surface off Peru: {len(train)} months to learn, {len(test)} to look through.")
    fit = None
    if config.method != UNTUNED:
        fit = FitConfig(method=method_named(config.method), training=TrainingConfig(seed=config.seed))
    scorer = Neighbours((_YEAR, 2 * _YEAR)) if config.scorer == Neighbours.name else scorer_named(config.scorer)
    base = AnomalyDetector.from_pretrained(config.model, device=config.device)
    tuned = base.fit(train, fit, scorer=scorer, false_alarm_rate=0.01, callbacks=[ProgressBar()])
    with staged_folder(config.output) as folder:
        tuned.save_pretrained(folder / "detector")
        reloaded = AnomalyDetector.from_pretrained(folder / "detector", device=config.device)
        events = reloaded.events(test)
        write_frame(frame[frame["time"].dt.year >= _FIRST_TEST_YEAR], folder / "temperatures.csv")
        write_frame(reloaded.detect(test), folder / "scores.csv")
        write_frame(events, folder / "events.csv")
        reloaded.plot(test, path=folder / "events.png")
    print_table("Events", _shown(events))
    print_table(
        "Beside the strong El Niños of 1982 and 1997",
        _by_metric(reloaded.evaluate(frame[frame["time"].dt.year >= _FIRST_TEST_YEAR])),
    )
    console.print(f"Written to {config.output}: temperatures.csv, scores.csv, events.csv, events.png, detector/")
    then = DemoCommands(config.output, "temperatures.csv", "detector", "anomaly", config.model)
    print_demo_commands(
        [
            then.on_made("detect", "--reference", "table", output="recurring.csv"),
            then.on_made("evaluate"),
            then.importance(tuned.model),
        ],
        [then.on_table("finetune"), then.on_table("detect", "--events", "events.csv", output="scores.csv")],
    )
    return events


def pacific_temperatures() -> pd.DataFrame:
    """Return the sea surface temperature off Peru, 1950 to 2010, 732 months; ships with statsmodels.

    Labelled are the two strongest El Niños since 1950: June 1982 to September 1983, April 1997 to June 1998.
    """
    table = elnino.load_pandas().data.set_index("YEAR")
    times = pd.date_range(f"{int(table.index[0])}-01-01", periods=table.size, freq="MS")
    frame = pd.DataFrame({"time": times, "temperature": table.to_numpy().ravel()})
    warm = [frame["time"].between(*span) for span in (("1982-06", "1983-09"), ("1997-04", "1998-06"))]
    return frame.assign(label=(warm[0] | warm[1]).astype(int))


def _shown(events: pd.DataFrame) -> list[dict[str, object]]:
    """Return what fits on a terminal of events: without the times of their runs of alarms, the last two columns."""
    return frame_rows(events.iloc[:, :-2])


def _means(found: pd.DataFrame) -> str:
    """Return in words over how many series the means of a table are."""
    of_model = found[found["scorer"] == "model"]
    measured, series = int(of_model["VUS-PR"].notna().sum()), len(of_model)
    if series == 1:
        return ""
    counted = int(of_model["false alarms"].notna().sum())
    return f", mean over {measured} series" + (f"; false alarms over {counted}" if counted != measured else "")


def _by_metric(found: pd.DataFrame) -> list[dict[str, object]]:
    """Return one row a metric, one column a scorer: means over the series."""
    means = found.drop(columns="item", errors="ignore").groupby("scorer", sort=False).mean()
    return [
        {"metric": str(name)} | {str(scorer): value for scorer, value in means[name].items()} for name in means.columns
    ]


def _scorer(choice: ScorerChoice) -> Scorer:
    return scorer_named(choice.scorer, widths=choice.widths) if choice.widths else scorer_named(choice.scorer)


def _threshold(choice: DetectorChoice) -> Threshold | float | None:
    return choice.threshold if choice.rolling is None else RollingQuantile(choice.rolling, choice.level)


def _load(choice: DetectorChoice, device: str) -> AnomalyDetector:
    assert choice.model is not None, "checked with the configuration"
    detector = AnomalyDetector.from_pretrained(choice.model, base=choice.base, device=device)
    if detector.learned is None:
        raise InputError(
            f"{choice.model!r} is a foundation model, which knows no normal part. Expected --model FOLDER: a detector "
            "that `tracetune finetune --task anomaly` saved."
        )
    return detector


def _evidence(tuned: AnomalyDetector) -> str:
    """Return in words what the threshold rests on."""
    known = None if tuned.learned is None else tuned.learned.calibration
    if known is None:
        return ""
    events = f" with {known.events} separate events" if known.fitted else ""
    return f", from {known.rows:,} normal rows{events}"


def _report(tuned: AnomalyDetector, config: FinetuneConfig, output: str, *, labelled: bool) -> None:
    assert tuned.trace is not None, "it was fitted"
    if tuned.trace["method"] is not None:
        print_candidates(f"Losses on validation ({compared_by(tuned.trace)})", tuned.trace)
    Console(highlight=False).print(f"Alarms are raised above a score of {tuned.threshold:.4g}{_evidence(tuned)}.")
    verbs = ["detect", "evaluate"] if labelled else ["detect"]
    print_next_commands(config.source, output, dict.fromkeys(verbs, ()), seen=True)
