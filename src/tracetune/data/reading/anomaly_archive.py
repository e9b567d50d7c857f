"""Files of the UCR anomaly archive: one value a line; the name says where the normal part and the anomaly end.

A name such as ``112_UCR_Anomaly_BIDMC1_2500_5400_5600.txt`` says that the first 2,500 values are normal, and that the
anomaly is in 5400 to 5600 (Wu and Keogh, 2021, "Current Time Series Anomaly Detection Benchmarks are Flawed and are
Creating the Illusion of Progress"). Ends are counted half-open from 0, as in TSB-UAD's form of the archive.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError
from tracetune.data.reading.raw import RawTable, shown

_NAME = re.compile(r"\d+_UCR_Anomaly_.+_(\d+)_(\d+)_(\d+)\.(?:txt|csv|tsv)(?:\.[a-z0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class ArchiveName:
    """What the name of a file of the archive says.

    Attributes:
        normal_steps: steps from the first, that are without an anomaly.
        start: the first step of the anomaly.
        stop: the step behind its last.
    """

    normal_steps: int
    start: int
    stop: int


def archive_name(source: object) -> ArchiveName | None:
    """Return what the name of a file of the archive says; None for any other source."""
    found = _NAME.fullmatch(Path(source).name) if isinstance(source, (str, Path)) else None
    return None if found is None else ArchiveName(*map(int, found.groups()))


def with_labels(raw: RawTable, source: object, label_column: str) -> RawTable:
    """Return a table with a column of labels that the file's name tells; any other table, or with labels, as it is.

    Raises:
        InputError: the file ends before the anomaly does.
    """
    name = archive_name(source)
    if name is None or label_column in raw.frame.columns or len(raw.frame.columns) != 1:
        return raw
    steps = np.arange(len(raw.frame))
    if not name.normal_steps < name.start < name.stop <= len(steps):
        raise InputError(
            f"Expected a normal part of {name.normal_steps:,} steps, and after it an anomaly in {name.start:,} to "
            f"{name.stop:,}, as the file's name says, found {len(steps):,} steps. Give the whole file under its own "
            "name, or another name, which says nothing of an anomaly."
        )
    labels = ((steps >= name.start) & (steps < name.stop)).astype(int)
    note = f"labels from the file's name: {shown(label_column)} is 1 in steps {name.start:,} to {name.stop - 1:,}"
    return replace(raw, frame=raw.frame.assign(**{label_column: labels}), notes=(*raw.notes, note))
