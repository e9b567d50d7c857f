"""Fine-tune an imputer, fill the gaps of a table with it, and measure it."""

import pandas as pd
from rich.console import Console

from tracetune.base.folders import require_empty, staged_folder
from tracetune.base.processes import is_main_process
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
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.demo import weekly_co2
from tracetune.recipes.fit_report import print_candidates, print_next_commands
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.outputs import check_outputs
from tracetune.report.candidates import candidate_rows
from tracetune.report.tables import print_table
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_LEVELS = (0.1, 0.9)


def finetune(config: FinetuneConfig) -> Imputer:
    """Fine-tune an imputer on a table, gaps and all, and save its adapter."""
    with finetune_run(config.run) as device:
        panel = config.source.panel()
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
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{config.source.data}: {source.reading.line}", markup=False)
    for warning in source.reading.warnings:
        console.print(f"  Warning: {warning.for_command_line()}", markup=False, style="yellow")
    fills = imputer.fills(source)
    filled = imputer.impute(fills, run.quantile_levels() or None)
    table = pd.DataFrame(filled) if not hasattr(filled, "to_pandas") else filled.to_pandas()
    write_frame(table, run.output)
    console.print(f"{_count(table):,} values filled in, {len(table):,} rows written to {run.output}.", markup=False)
    if run.plot is not None:
        imputer.plot(fills, run.plot)
        console.print(f"Picture: {run.plot}", markup=False)
    return table


def evaluate(config: EvaluateConfig) -> pd.DataFrame:
    """Hide observed steps of a table, fill them, and measure; beside fills that need no model."""
    check_outputs([config.output], None, (config.source.data, config.imputer.model), overwrite=config.overwrite)
    imputer = _load(config.imputer, config.device)
    panel = config.source.panel(imputer.remembered)
    found = imputer.evaluate(panel, pattern=config.pattern, share=config.share, season=config.season, seed=config.seed)
    if config.output is not None:
        write_frame(found, config.output)
    print_table(f"{config.share:.0%} of the steps hidden, {config.pattern}", found.to_dict("records"))  # type: ignore[arg-type]
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
        write_frame(filled, folder / "filled.csv")
        reloaded.plot(fills, folder / "filled.png")
    print_table(
        "A quarter of the weeks hidden, in blocks (scaled errors)",
        reloaded.evaluate(frame, pattern="blocks", season=52).to_dict("records"),  # type: ignore[arg-type]
    )
    console.print(f"{_count(filled)} weeks filled in. Written to {config.output}: filled.csv, filled.png, adapter/")
    return filled


def _count(table: pd.DataFrame) -> int:
    """Return how many values were filled in."""
    marks = [
        name for name in table if (name == FILLED or str(name).endswith(f"_{FILLED}")) and table[name].dtype == bool
    ]
    return int(table[marks].to_numpy().sum())


def _load(choice: ImputerChoice, device: str) -> Imputer:
    return Imputer.from_pretrained(choice.model, base=choice.base, device=device)


def _report(tuned: Imputer, source: DataSource, output: str) -> None:
    assert tuned.trace is not None, "it was fine-tuned"
    print_candidates("Losses on validation (scaled squared error of hidden steps)", tuned.trace)
    print_next_commands(
        source, output, {verb: () for verb in ("impute", "evaluate") if verb != "impute" or source.data}
    )
