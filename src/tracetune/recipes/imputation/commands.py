"""Fine-tune an imputer, fill the gaps of a table with it, and measure it."""

import pandas as pd
from rich.console import Console

from tracetune.base.processes import is_main_process
from tracetune.data.table_files import marks_in_words, write_frame
from tracetune.estimators.imputation.filled_frame import read_source
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.recipes.data_source import DataSource, print_reading
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.imputation.report import filled_words, gap_table, weights_table
from tracetune.recipes.imputation.settings import (
    EvaluateConfig,
    FinetuneConfig,
    ImputeConfig,
    ImputerChoice,
)
from tracetune.recipes.outputs import check_outputs, write_series
from tracetune.report.pages import where_drawn, write_plot
from tracetune.report.tables import frame_rows, print_table
from tracetune.training.progress import ProgressBar


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
            tuned.save_pretrained(config.run.folder)
            _report(tuned, config.source, config.run.folder)
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
    written = f"{len(table):,} rows written to {run.output}{marks_in_words(origin.marks, run.output)}"
    weights = weights_table(fills.mixtures())
    if len(weights):
        print_table("Filled without a fit, by the weights that fill hidden gaps of the table best", frame_rows(weights))
    console.print(f"{filled_words(fills.filled_in())}, {written}.", markup=False)
    if run.plot is not None:
        title = f"Gaps of {config.source.name}, filled in"
        tables = {"Gaps": gap_table(source.panel)} | ({"Weights": weights} if len(weights) else {})
        write_plot(imputer.plot(fills), run.plot, title, tables)
        console.print(where_drawn(run.plot), markup=False)
    return table


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Hide observed steps of a table, fill them, and measure; beside fills that need no model."""
    run = config.run
    check_outputs([run.output], run.plot, (config.source.data, config.imputer.model), overwrite=run.overwrite)
    imputer = _load(config.imputer, run.device)
    panel = config.source.panel(imputer.remembered, every_channel=True)
    found = imputer.evaluate(panel, pattern=config.pattern, share=config.share, season=config.season, seed=config.seed)
    if run.output is not None:
        write_frame(found, run.output)
    title = f"{100 * config.share:.3g} % of the steps hidden, {config.pattern}"
    print_table(title, frame_rows(found))
    if run.plot is not None:
        figure = imputer.plot_hidden(panel, pattern=config.pattern, share=config.share, seed=config.seed)
        write_plot(figure, run.plot, f"{config.source.name}: {title}", {"Errors": found})
        Console(highlight=False, soft_wrap=True).print(where_drawn(run.plot), markup=False)
    return found


def _load(choice: ImputerChoice, device: str) -> Imputer:
    return Imputer.from_pretrained(choice.model, base=choice.base, device=device)


def _report(tuned: Imputer, source: DataSource, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    print_candidates("Losses on validation (scaled squared error of hidden steps)", tuned.trace)
    print_next_commands(
        source, output, {verb: () for verb in ("impute", "evaluate") if verb != "impute" or source.data}
    )
