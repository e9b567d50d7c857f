"""What an imputer filled, in words for the terminal and as a table of gaps."""

import numpy as np
import pandas as pd

from tracetune.base.runs import runs_of
from tracetune.data.panels import Panel
from tracetune.estimators.imputation.filled_frame import FILLED


def values_filled(table: pd.DataFrame) -> int:
    """Return how many values were filled in."""
    marks = [
        name for name in table if (name == FILLED or str(name).endswith(f"_{FILLED}")) and table[name].dtype == bool
    ]
    return int(table[marks].to_numpy().sum())


def filled_words(table: pd.DataFrame, panel: Panel) -> str:
    """Return in words how many values were filled in, and in which columns, where there are several."""
    counts = {name: int(table[f"{name}_{FILLED}"].sum()) for name in panel.channels if f"{name}_{FILLED}" in table}
    filled = [f"{name} {count:,}" for name, count in counts.items() if count]
    return f"{values_filled(table):,} values filled in" + (f" ({', '.join(filled)})" if 0 < len(filled) <= 12 else "")


def gap_table(panel: Panel) -> pd.DataFrame:
    """Return a row for each series and channel: its steps, how many lack a value, and the most in a row."""
    rows = []
    for series in panel:
        for name, row in zip(panel.channels, series.values, strict=True):
            longest = int(np.diff(runs_of(np.isnan(row))).max(initial=0))
            rows.append((series.item_id, name, len(row), int(np.isnan(row).sum()), longest))
    return pd.DataFrame(rows, columns=["series", "channel", "steps", "missing", "longest gap"])
