"""Labelled series as classifiers take them: arrays, checked, and classes by name.

Shapes: S samples, C channels, L steps.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from tracetune.base.errors import InputError, argument, shown
from tracetune.base.plain_numbers import plain_number
from tracetune.estimators.series_arrays import if_time_first, numbers_of, question_order, refuse_infinite

logger = logging.getLogger(__name__)

_LARGEST = 1e17  # models compute with 32 bits: squares of larger values, summed over series, overflow
_FEWEST_NUMBERS = 16  # of 32 bits, between the least and the largest value of a series


def checked_samples(
    values: Iterable[np.ndarray], channels: int | None = None, *, of_table: bool = False
) -> list[np.ndarray]:
    """Return series as a list of arrays [C, L], NaN where missing.

    Args:
        values: an array [S, C, L], or one array [C, L] a series.
        channels: C, where it is known.
        of_table: they were read from a table, which knows channels from steps.

    Raises:
        InputError: no series, another shape or number of channels, time before channels, something else than numbers,
            an infinity, a value too large to compute with, or a series without a value.
    """
    found: list[np.ndarray] = []
    known = channels is not None
    if not hasattr(values, "__iter__"):
        raise InputError(
            f"Expected an array [series, channels, steps], or one a series, found {type(values).__name__}."
        )
    for index, array in enumerate(values):
        series = numbers_of(array, index)
        if series.ndim != 2 or 0 in series.shape:
            raise InputError(
                f"Expected series {index} to have shape [channels, steps], found {list(series.shape)}. Univariate "
                "series of one length are values[:, None, :]."
            )
        channels = len(series) if channels is None else channels
        if len(series) != channels:
            raise InputError(
                f"Expected {channels} channel{'s' if channels > 1 else ''} in series {index}, as in "
                f"{'those of the fit' if known else 'the first'}, found {len(series)}. "
                f"{'Give series with these, or fit a model on such' if known else 'Give all series the same'}."
                f"{if_time_first(series.shape, channels if known else found[0].shape[1])}"
            )
        refuse_infinite(series, index)
        if np.isnan(series).all():
            raise InputError(f"Series {index} has no value at all. Leave it out.")
        if (largest := np.nanmax(np.abs(series))) > _LARGEST:
            raise InputError(
                f"Expected values up to {_LARGEST:g}, beyond which the numbers of a model are not finite, found "
                f"{largest:.3g} in series {index} (the first is 0). Correct it, or divide all series by a number."
            )
        found.append(series)
    if not found:
        raise InputError("Expected at least one series, found none.")
    if not known and not of_table:
        question_order([series.shape for series in found])
    return found


def say_lost_digits(found: Sequence[np.ndarray]) -> None:
    """Log series [C, L] that vary by so little beside their level that little is left of them in 32 bits."""
    lost = [number for number, series in enumerate(found) if any(map(_is_lost, series))]
    if lost:
        logger.warning(
            "%s of %s series vary by a few ten-millionths of their level at most (the first is series %s), which "
            "models, computing with 32 bits, see hardly or not at all. Subtract the level from all series, those of "
            "the fit and later ones.",
            f"{len(lost):,}",
            f"{len(found):,}",
            lost[0],
        )


def _is_lost(row: np.ndarray) -> bool:
    """Return whether a row [L] varies, but over a few of the numbers that 32 bits have at its level."""
    known = row[~np.isnan(row)]
    if not known.size or not (span := float(np.ptp(known))):
        return False
    return span < _FEWEST_NUMBERS * float(np.spacing(np.float32(np.abs(known).max())))


Label = str | float
"""A class by name; numbers are written as names."""

Labels = Sequence[Label] | np.ndarray


def require_share(validation_share: float) -> None:
    """Refuse a share of validation samples that is none.

    Raises:
        InputError: not a number between 0 and 1.
    """
    if not 0 < validation_share < 1:
        raise InputError(f"Expected {argument('validation_share')} between 0 and 1, found {validation_share}.")


def require_folds(folds: int | None) -> None:
    """Refuse a number of folds that is none.

    Raises:
        InputError: it is below 1.
    """
    if folds is not None and folds < 1:
        raise InputError(f"Expected {argument('folds')} of at least 1, found {folds}.")


def require_labels(labels: Labels | None, one: str, *, in_table: bool) -> None:
    """Refuse samples without labels, and labels beside a table, which has them in a column.

    Raises:
        InputError: either.
    """
    if in_table and labels is not None:
        raise InputError(
            f"A table has its labels in a column: name it with {argument('label_column')}, and leave labels out."
        )
    if not in_table and labels is None:
        raise InputError(f"Expected labels, one for each {one}, found none.")


def require_classes(classes: Sequence[str], many: str) -> None:
    """Refuse to tell fewer than two classes apart.

    Raises:
        InputError: there is only one.
    """
    if len(classes) < 2:
        raise InputError(f"Expected {many} of at least two classes, found only {classes[0]!r}.")


def class_numbers(
    labels: Labels,
    samples: int,
    classes: Sequence[str] | None,
    nouns: tuple[str, str] = ("series", "series"),
) -> tuple[np.ndarray, list[str]]:
    """Return the number [S] of each sample's class, and the names of all classes.

    Names are texts; numbers are written as such, whole ones without a point. A known class is found however its number
    is written.

    Args:
        labels: [S], texts or numbers.
        samples: S.
        classes: names that are known; None takes those that occur, in order.
        nouns: what a sample is called, one and many.

    Raises:
        InputError: another number of labels than samples, a missing label, or a class that is not known.
    """
    masked = np.ma.getmaskarray(labels).ravel() if isinstance(labels, np.ma.MaskedArray) else False
    given = np.asarray(labels, dtype=object).ravel()
    one, many = nouns
    if len(given) != samples:
        raise InputError(f"Expected a label for each of {samples} {many}, found {len(given)} labels.")
    names = [class_name(label) for label in given]
    missing = pd.isna(given) | masked | [not name.strip() for name in names]
    if missing.any():
        raise InputError(f"Expected a label for each {one}, found none for {one} {int(missing.argmax())}.")
    known = sorted(set(names), key=_order) if classes is None else list(classes)
    if classes is None:
        _say_alike(known)
    if set(names) - set(known):
        alike = {plain_number(name): name for name in known if plain_number(name) is not None}
        names = [name if name in known else alike.get(plain_number(name), name) for name in names]  # 1.0 is 1
    if unknown := sorted(set(names) - set(known)):
        count = sum(name in unknown for name in names)
        raise InputError(
            f"Expected the classes {_listed(known)}, found {_listed(unknown)} too, in {count:,} of {samples:,} {many}. "
            "Leave these out, or fit a model on all classes."
        )
    numbers = {name: number for number, name in enumerate(known)}
    return np.array([numbers[name] for name in names], dtype=np.int64), known


def _say_alike(classes: Sequence[str]) -> None:
    """Log classes that are one number, or whose names differ in case or white space only: rarely meant to be two."""
    groups: dict[object, list[str]] = {}
    for name in classes:
        number = plain_number(name)
        groups.setdefault(" ".join(name.split()).casefold() if number is None else number, []).append(name)
    if alike := [name for group in groups.values() if len(group) > 1 for name in group]:
        logger.warning(
            "Classes that are one number or differ in case or white space only are taken for different: %s.",
            _listed(alike),
        )


def _listed(classes: Sequence[str], most: int = 10) -> str:
    more = f" and {len(classes) - most:,} more" if len(classes) > most else ""
    return ", ".join(shown(name, 40) for name in classes[:most]) + more


def class_name(label: Label) -> str:
    """Return a label as the name of a class: whole numbers without a point."""
    if isinstance(label, (float, np.floating)) and float(label).is_integer():
        return str(int(label))
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)  # ARFF files are read as bytes


def _order(name: str) -> tuple[int, float, str]:
    """Return numbers by size, then texts by letters."""
    number = plain_number(name)
    return (1, 0.0, name) if number is None else (0, number, name)
