"""What an imputer filled, in words for the terminal and as a table of gaps."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tracetune.base.stretches import stretches_of
from tracetune.data.panels import Panel


def filled_words(counts: Mapping[str, int]) -> str:
    """Return in words how many values were filled in, and in which of the channels, where there are several."""
    filled = [f"{name} {count:,}" for name, count in counts.items() if count]
    names = f" ({', '.join(filled)})" if len(counts) > 1 and 0 < len(filled) <= 12 else ""
    return f"{sum(counts.values()):,} values filled in{names}"


def gap_table(panel: Panel) -> pd.DataFrame:
    """Return a row for each series and channel: its steps, how many lack a value, and the most in a row."""
    rows = []
    for series in panel:
        for name, row in zip(panel.channels, series.values, strict=True):
            longest = int(np.diff(stretches_of(np.isnan(row))).max(initial=0))
            rows.append((series.item_id, name, len(row), int(np.isnan(row).sum()), longest))
    return pd.DataFrame(rows, columns=["series", "channel", "steps", "missing", "longest gap"])
