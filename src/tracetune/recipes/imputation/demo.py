"""Imputation in a minute or two: the missing weeks of CO2 at Mauna Loa."""

import pandas as pd
from rich.console import Console

from tracetune.base.folders import require_empty, staged_folder
from tracetune.data.table_files import write_frame
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import method_named
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.recipes.imputation.settings import DemoConfig
from tracetune.recipes.weekly_co2 import weekly_co2
from tracetune.report.candidates import candidate_rows
from tracetune.report.tables import frame_rows, print_table
from tracetune.training.config import TrainingConfig
from tracetune.training.progress import ProgressBar

_LEVELS = (0.1, 0.9)


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
    written = f"Written to {config.output}: co2.csv, filled.csv, filled.png, adapter/"
    console.print(f"{sum(fills.filled_in().values())} weeks filled in. {written}")
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
