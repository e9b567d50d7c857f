"""Data of a fit from frames: one panel, its training and validation ranges, and the shortest context."""

from typing import Unpack

from tracetune.data.continuation import continue_panel
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.reading.sources import ReadingKeywords, Table
from tracetune.data.splits import DividedPanel, fit_split


def split_frames(
    train_df: Table | DividedPanel,
    validation_df: Table | None,
    context_length: int,
    prediction_length: int,
    validation: str = "rolling",
    /,
    **columns: Unpack[ReadingKeywords],
) -> DividedPanel:
    """Return the series of one or two frames with their parts.

    Padded windows are admitted: a series little longer than the context would give a handful of full ones. They have
    a horizon or a quarter of the context, or half of what the series itself can give, if that is less; so that a series
    of one step more than a horizon still gives a training window.

    Args:
        train_df: the series to learn from; a panel whose parts are given is returned as it is.
        validation_df: later steps of the same items, or other items; None holds back the last part of every series.
        context_length: T.
        prediction_length: H.
        validation: "rolling" or "last", see ``fit_split``; without effect where there is a ``validation_df``.
        columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

    Raises:
        InputError: unusable data, or no series is long enough.
    """
    if isinstance(train_df, DividedPanel):
        return train_df
    panel = panel_from_frame(train_df, **columns)
    if validation_df is None:
        split = fit_split(panel, prediction_length, validation)
    else:
        remembered = ReadingOptions.from_json(panel.origin.reading or {})
        panel, split = continue_panel(panel, panel_from_frame(validation_df, remembered=remembered, **columns))
    wanted = min(context_length, max(prediction_length, context_length // 4))
    least = [min(wanted, max(1, (part.stop - prediction_length) // 2)) for part in split.train]
    return DividedPanel(panel, split, least)
