"""Fine-tune an imputer, fill the gaps of a table with it, and measure it."""

import numpy as np
import pandas as pd
from rich.console import Console

from tracetune.base.folders import require_empty, staged_folder
from tracetune.base.processes import is_main_process
from tracetune.base.runs import runs_of
from tracetune.data.panels import Panel
from tracetune.data.table_files import write_frame
from tracetune.estimators.imputation.filled_frame import FILLED, read_source
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import method_named
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.recipes.configs.imputation import (
    DemoConfig,
    EvaluateConfig,
    FinetuneConfig,
    ImputeConfig,
    ImputerChoice,
)
from tracetune.recipes.data_source import DataSource, print_reading
from tracetune.recipes.demo import weekly_co2
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.outputs import check_outputs, write_series
from tracetune.report.candidates import candidate_rows
from tracetune.report.pages import where_drawn, write_plot
from tracetune.report.tables import frame_rows, print_table
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_LEVELS = (0.1, 0.9)


def finetune(config: FinetuneConfig) -> Imputer:
    """Fine-tune an imputer on a table, gaps and all, and save its adapter."""
    with finetune_run(config.run) as device:
        panel = config.source.panel(every_channel=True)
        base = Imputer.from_pretrained(config.backbone.model, config.backbone.context_length, device=device)
        tuned = base.fit(
            panel,
            fit_config(config, ImputationHeadConfig(config.gaps.related), config.periods),
            season=config.backbone.season,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            assert config.run.output is not None, "checked with the configuration"
            tuned.save_pretrained(config.run.output)
            _report(tuned, config.source, config.run.output)
    return tuned


def impute(config: ImputeConfig) -> pd.DataFrame:
    """Fill the gaps of a table, and write it with what was filled in marked."""
    run = config.run
    check_outputs([run.output], run.plot, [config.imputer.model], overwrite=run.overwrite)  # a table is filled in place
    imputer = _load(config.imputer, run.device)
    assert config.source.data is not None, "checked with the configuration"
    source = read_source(config.source.data, config.source.options(), imputer.remembered)
    print_reading(config.source.data, source.reading)
    console = Console(highlight=False, soft_wrap=True)
    fills = imputer.fills(source)
    filled = imputer.impute(fills, run.quantile_levels() or None)
    table = pd.DataFrame(filled) if not hasattr(filled, "to_pandas") else filled.to_pandas()
    origin = source.panel.origin
    write_series(table, run.output, origin, times=[origin.timestamp_column])
    console.print(f"{_filled_in(table, source.panel)}, {len(table):,} rows written to {run.output}.", markup=False)
    if run.plot is not None:
        title = f"Gaps of {config.source.name}, filled in"
        write_plot(imputer.plot(fills), run.plot, title, {"Gaps": _gaps(source.panel)})
        console.print(where_drawn(run.plot), markup=False)
    return table


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Hide observed steps of a table, fill them, and measure; beside fills that need no model."""
    check_outputs([config.output], config.plot, (config.source.data, config.imputer.model), overwrite=config.overwrite)
    imputer = _load(config.imputer, config.device)
    panel = config.source.panel(imputer.remembered, every_channel=True)
    found = imputer.evaluate(panel, pattern=config.pattern, share=config.share, season=config.season, seed=config.seed)
    if config.output is not None:
        write_frame(found, config.output)
    title = f"{100 * config.share:.3g} % of the steps hidden, {config.pattern}"
    print_table(title, frame_rows(found))
    if config.plot is not None:
        figure = imputer.plot_hidden(panel, pattern=config.pattern, share=config.share, seed=config.seed)
        write_plot(figure, config.plot, f"{config.source.name}: {title}", {"Errors": found})
        Console(highlight=False, soft_wrap=True).print(where_drawn(config.plot), markup=False)
    return found


def demo(config: DemoConfig) -> pd.DataFrame:
    """Fill the gaps of the weekly CO2 at Mauna Loa, and measure on hidden weeks."""
    require_empty(config.output)
    console = Console(highlight=False)
    frame = weekly_co2()
    console.print(f"Weekly CO2 at Mauna Loa: {len(frame):,} weeks, {int(frame['target'].isna().sum())} missing.")
    fit = FitConfig(
        method=method_named(config.method),
        head_training=TrainingConfig(num_train_epochs=3, seed=config.seed),
        training=TrainingConfig(num_train_epochs=2, seed=config.seed),
    )
    base = Imputer.from_pretrained(config.model, device=config.device)
    tuned = base.fit(frame, fit, season=52, callbacks=[ProgressBar()])
    assert tuned.trace is not None
    print_table("Candidates on validation (scaled MSE of hidden weeks)", candidate_rows(tuned.trace))
    with staged_folder(config.output) as folder:
        tuned.save_pretrained(folder / "adapter")
        reloaded = Imputer.from_pretrained(folder / "adapter", device=config.device)
        fills = reloaded.fills(frame)
        filled = reloaded.impute(fills, _LEVELS)
        write_frame(frame, folder / "co2.csv")
        write_frame(filled, folder / "filled.csv")
        reloaded.plot(fills, folder / "filled.png")
    print_table(
        "A quarter of the weeks hidden, in blocks (scaled errors)",
        frame_rows(reloaded.evaluate(frame, pattern="blocks", season=52)),
    )
    console.print(
        f"{_count(filled)} weeks filled in. Written to {config.output}: co2.csv, filled.csv, filled.png, adapter/"
    )
    then = DemoCommands(config.output, "co2.csv", "adapter", "imputation", config.model)
    print_demo_commands(
        [
            then.on_made("impute", "--quantiles", "0.1,0.9", output="filled_again.csv"),
            then.on_made("evaluate", "--pattern", "blocks", "--season", "52"),
            then.importance(tuned.model),
        ],
        [then.on_table("finetune"), then.on_table("impute", output="filled.csv")],
    )
    return filled


def _count(table: pd.DataFrame) -> int:
    """Return how many values were filled in."""
    marks = [
        name for name in table if (name == FILLED or str(name).endswith(f"_{FILLED}")) and table[name].dtype == bool
    ]
    return int(table[marks].to_numpy().sum())


def _filled_in(table: pd.DataFrame, panel: Panel) -> str:
    """Return in words how many values were filled in, and in which columns, where there are several."""
    counts = {name: int(table[f"{name}_{FILLED}"].sum()) for name in panel.channels if f"{name}_{FILLED}" in table}
    filled = [f"{name} {count:,}" for name, count in counts.items() if count]
    return f"{_count(table):,} values filled in" + (f" ({', '.join(filled)})" if 0 < len(filled) <= 12 else "")


def _gaps(panel: Panel) -> pd.DataFrame:
    """Return a row for each series and channel: its steps, how many lack a value, and the most in a row."""
    rows = []
    for series in panel:
        for name, row in zip(panel.channels, series.values, strict=True):
            longest = int(np.diff(runs_of(np.isnan(row))).max(initial=0))
            rows.append((series.item_id, name, len(row), int(np.isnan(row).sum()), longest))
    return pd.DataFrame(rows, columns=["series", "channel", "steps", "missing", "longest gap"])


def _load(choice: ImputerChoice, device: str) -> Imputer:
    return Imputer.from_pretrained(choice.model, base=choice.base, device=device)


def _report(tuned: Imputer, source: DataSource, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    print_candidates("Losses on validation (scaled squared error of hidden steps)", tuned.trace)
    print_next_commands(
        source, output, {verb: () for verb in ("impute", "evaluate") if verb != "impute" or source.data}
    )
