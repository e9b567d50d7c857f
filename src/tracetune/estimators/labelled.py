"""Labelled series as classifiers take them: from arrays or long tables, with classes by name.

Shapes: S samples, C channels, L steps.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument
from tracetune.data.reading.items import ITEM_NAMES
from tracetune.data.reading.read import panel_from_frame


def checked_samples(values: Iterable[np.ndarray], channels: int | None = None) -> list[np.ndarray]:
    """Return series as a list of arrays [C, L], NaN where missing.

    Args:
        values: an array [S, C, L], or one array [C, L] a series.
        channels: C, where it is known.

    Raises:
        InputError: no series, another shape or number of channels, something else than numbers, an infinity, or a
            series without a value.
    """
    found = []
    for index, array in enumerate(values):
        try:
            series = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"Expected numbers in series {index}, found something else: {error}") from error
        if series.ndim != 2 or 0 in series.shape:
            raise InputError(
                f"Expected series {index} to have shape [channels, steps], found {list(series.shape)}. Univariate "
                "series of one length are values[:, None, :]."
            )
        channels = len(series) if channels is None else channels
        if len(series) != channels:
            raise InputError(f"Expected {channels} channels in series {index}, found {len(series)}.")
        if np.isinf(series).any():
            raise InputError(f"Series {index} has infinite values. Put numbers or NaN: missing values are fine.")
        if np.isnan(series).all():
            raise InputError(f"Series {index} has no value at all. Leave it out.")
        found.append(series)
    if not found:
        raise InputError("Expected at least one series, found none.")
    return found


def class_numbers(
    labels: Sequence[Any] | np.ndarray,
    samples: int,
    classes: Sequence[str] | None,
    nouns: tuple[str, str] = ("series", "series"),
) -> tuple[np.ndarray, list[str]]:
    """Return the number [S] of each sample's class, and the names of all classes.

    Names are texts; numbers are written as such, whole ones without a point.

    Args:
        labels: [S], texts or numbers.
        samples: S.
        classes: names that are known; None takes those that occur, in order.
        nouns: what a sample is called, one and many.

    Raises:
        InputError: another number of labels than samples, a missing label, or a class that is not known.
    """
    given = np.asarray(labels, dtype=object).ravel()
    one, many = nouns
    if len(given) != samples:
        raise InputError(f"Expected a label for each of {samples} {many}, found {len(given)} labels.")
    if pd.isna(given).any():
        raise InputError(
            f"Expected a label for each {one}, found none for {one} {int(np.flatnonzero(pd.isna(given))[0])}."
        )
    names = [_name(label) for label in given]
    known = sorted(set(names), key=_order) if classes is None else list(classes)
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"Expected the classes {', '.join(known)}, found {', '.join(unknown)} too.")
    numbers = {name: number for number, name in enumerate(known)}
    return np.array([numbers[name] for name in names], dtype=np.int64), known


def samples_from_frame(
    frame: pd.DataFrame, label_column: str | None, **columns: Any
) -> tuple[list[str], list[np.ndarray], list[Any] | None]:
    """Return item ids, series [C, L] and labels of a long table; no labels where ``label_column`` is None.

    Args:
        frame: one row a step, the label of an item on each of its rows.
        label_column: where the labels are.
        columns: id_column, timestamp_column, target, freq, sort, as in ``panel_from_frame``.

    Raises:
        InputError: no item or label column, more than one label for an item, or an unusable table.
    """
    item = columns.get("id_column") or next((name for name in ITEM_NAMES if name in frame.columns), None)
    if item is None or item not in frame.columns:
        raise InputError(
            f"Expected a column that tells series apart, {' or '.join(ITEM_NAMES)}. Name it with "
            f"{argument('id_column')}."
        )
    if label_column is None:
        panel = panel_from_frame(frame, **columns)
        return [series.item_id for series in panel], [series.values for series in panel], None  # noqa: PD011
    if label_column not in frame.columns:
        raise InputError(
            f"Expected labels in a column {label_column!r}, found {', '.join(map(str, frame.columns))}. Name it with "
            f"{argument('label_column')}."
        )
    labels = frame.groupby(frame[item].map(str), sort=False)[label_column]
    several = labels.nunique(dropna=False)
    if (several > 1).any():
        raise InputError(f"Expected one label an item, found {several.max()} for item {several.idxmax()!r}.")
    panel = panel_from_frame(frame.drop(columns=label_column), **columns)
    of_item = labels.first()
    return (
        [series.item_id for series in panel],
        [series.values for series in panel],  # noqa: PD011 - not a pandas object
        [of_item[str(series.item_id)] for series in panel],
    )


def _name(label: Any) -> str:
    if isinstance(label, (float, np.floating)) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _order(name: str) -> tuple[int, float, str]:
    """Return numbers by size, then texts by letters."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
