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


def weights_table(mixtures: pd.DataFrame) -> pd.DataFrame:
    """Return for each class of gap length what filled gaps without a fit: means over channels by steps filled in.

    Args:
        mixtures: see `TableFills.mixtures`.
    """
    rows = []
    for _, of_class in mixtures.groupby("shortest"):
        steps = of_class["steps"]
        weights = {
            words: round(float(np.average(of_class[name], weights=steps)), 2)
            for name, words in (
                ("zero_shot", "zero-shot"),
                ("seasonal_median", "seasonal median"),
                ("linear", "straight line"),
            )
        }
        seasons = sorted({*of_class.loc[of_class["seasonal_median"] > 0, "season"].tolist()})
        rows.append(
            {
                "gaps of": _length_words(of_class.iloc[0]["shortest"], of_class.iloc[0]["longest"]),
                "steps filled": int(steps.sum()),
                "steps hidden": int(of_class["hidden"].sum()),
                **weights,
                "season": ", ".join(map(str, seasons[:3])) + (", ..." if len(seasons) > 3 else ""),
            }
        )
    return pd.DataFrame(rows)


def _length_words(shortest: int, longest: float | None) -> str:
    """Return the lengths of a class of gaps in words; None or NaN for one without an end."""
    if longest is None or np.isnan(longest):
        return f"{shortest} steps or more"
    return (
        f"{shortest} step{'s' if longest > 1 else ''}" if shortest == longest else f"{shortest} to {int(longest)} steps"
    )


def gap_table(panel: Panel) -> pd.DataFrame:
    """Return a row for each series and channel: its steps, how many lack a value, and the most in a row."""
    rows = []
    for series in panel:
        for name, row in zip(panel.channels, series.values, strict=True):
            longest = int(np.diff(stretches_of(np.isnan(row))).max(initial=0))
            rows.append((series.item_id, name, len(row), int(np.isnan(row).sum()), longest))
    return pd.DataFrame(rows, columns=["series", "channel", "steps", "missing", "longest gap"])
