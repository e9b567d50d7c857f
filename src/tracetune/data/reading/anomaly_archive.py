"""Files of the UCR anomaly archive: one series; the name says where the normal part and the anomaly end.

A name such as ``112_UCR_Anomaly_BIDMC1_2500_5400_5600.txt`` says that the first 2,500 values are normal, and that the
anomaly is in 5400 to 5600 (Wu and Keogh, 2021, "Current Time Series Anomaly Detection Benchmarks are Flawed and are
Creating the Illusion of Progress"). Ends are counted half-open from 0, as in TSB-UAD's form of the archive. Most files
have one value a line, some all of them in one.

Shapes: T steps of the series.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracetune.base.errors import InputError, Remark

if TYPE_CHECKING:
    from tracetune.data.reading.reading import Reading

_NAME = re.compile(r"\d+_UCR_Anomaly_.+_(\d+)_(\d+)_(\d+)\.(?:txt|csv|tsv)(?:\.[a-z0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class ArchiveName:
    """The steps that the name of a file of the archive tells, counted from 0.

    Attributes:
        normal_steps: how many of the first steps are without an anomaly.
        start: the first step of the anomaly.
        stop: the step behind its last.
    """

    normal_steps: int
    start: int
    stop: int


def archive_name(source: object) -> ArchiveName | None:
    """Return the steps that the name of a file tells; None where it is no path, or no name of the archive."""
    found = _NAME.fullmatch(Path(source).name) if isinstance(source, (str, Path)) else None
    return None if found is None else ArchiveName(*map(int, found.groups()))


def with_archive_labels(reading: "Reading", source: object) -> "Reading":
    """Return a file of the archive with labels [T] and the length of its normal part; any other table as it is.

    Raises:
        InputError: the file ends before the anomaly does.
    """
    name, panel = archive_name(source), reading.panel
    if (
        name is None
        or reading.labels is not None
        or panel.freq is not None
        or (len(panel), len(panel.channels)) != (1, 1)
    ):
        return reading
    steps = np.arange(panel.lengths[0])
    if not name.normal_steps < name.start < name.stop <= len(steps):
        raise InputError(
            f"Expected a normal part of {name.normal_steps:,} steps, and after it an anomaly in {name.start:,} to "
            f"{name.stop:,}, as the file's name says, found {len(steps):,} steps. Give the whole file under its own "
            "name, or another name, which says nothing of an anomaly."
        )
    labels = ((steps >= name.start) & (steps < name.stop)).astype(int)
    note = Remark(
        f"by the file's name the first {name.normal_steps:,} steps are normal, and {name.start:,} to "
        f"{name.stop - 1:,} an anomaly"
    )
    origin = replace(panel.origin, normal_steps=name.normal_steps)
    return replace(reading, panel=replace(panel, origin=origin), labels=(labels,), notes=(*reading.notes, note))
