"""Anomaly detection in a few seconds: strong El Niños in the sea's temperature off Peru."""

import pandas as pd
from rich.console import Console
from statsmodels.datasets import elnino

from tracetune.base.folders import require_empty, staged_folder
from tracetune.data.table_files import write_frame
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import method_named
from tracetune.recipes.anomaly.report import events_table, metric_rows
from tracetune.recipes.anomaly.settings import UNTUNED, DemoConfig
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.report.tables import print_table
from tracetune.tasks.anomaly.scores.embedding_scorer import Neighbours
from tracetune.tasks.anomaly.scores.scorer import scorer_named
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_FIRST_TEST_YEAR = 1981
_YEAR = 12


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
    print_table(*events_table(events))
    print_table(
        "Beside the strong El Niños of 1982 and 1997",
        metric_rows(reloaded.evaluate(frame[frame["time"].dt.year >= _FIRST_TEST_YEAR])),
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
