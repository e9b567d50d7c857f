"""From frames to what a fit needs: one panel, its training and validation ranges, and how short a context may be."""

from typing import Any

import pandas as pd

from tracetune.data.continuation import continue_panel
from tracetune.data.frames import Panel, panel_from_frame
from tracetune.data.splits import PanelSplit, fit_split


def split_frames(
    train_df: pd.DataFrame,
    validation_df: pd.DataFrame | None,
    context_length: int,
    prediction_length: int,
    **columns: Any,
) -> tuple[Panel, PanelSplit, int]:
    """The series of one or two frames, their ranges, and the least number of real context steps in a window.

    Padded windows are admitted: a series little longer than the context would give a handful of full ones.

    Args:
        train_df: the series to learn from.
        validation_df: later steps of the same items, or other items; None holds back the last part of every series.
        context_length: T.
        prediction_length: H.
        columns: id_column, timestamp_column, target, freq, sort, as in ``panel_from_frame``.

    Raises:
        InputError: unusable data, or no series is long enough.
    """
    panel = panel_from_frame(train_df, **columns)
    if validation_df is None:
        split = fit_split(panel, prediction_length)
    else:
        panel, split = continue_panel(panel, panel_from_frame(validation_df, **columns))
    least = min(context_length, max(prediction_length, context_length // 4))
    least = min(least, max(1, max(part.stop for part in split.train) - prediction_length))
    return panel, split, least
