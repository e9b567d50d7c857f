"""Files of anomaly archives: one series; the name says where its normal part ends.

UCR anomaly archive (Wu and Keogh, 2021, "Current Time Series Anomaly Detection Benchmarks are Flawed and are Creating
the Illusion of Progress"): a name such as ``112_UCR_Anomaly_BIDMC1_2500_5400_5600.txt`` says that the first 2,500
values are normal, and that the anomaly is in 5400 to 5600. Ends are counted half-open from 0, as in TSB-UAD's form of
the archive. Most files have one value a line, some all of them in one.

TSB-AD (Liu and Paparrizos, 2024, "The Elephant in the Room: Towards A Reliable Time-Series Anomaly Detection
Benchmark"): a name such as ``057_SMD_id_1_Facility_tr_4529_1st_4629.csv`` says that the first 4,529 steps are to learn
from, and that the first anomaly is at 4629; labels stand in a column of the table.

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

_ENDING = r"\.(?:txt|csv|tsv)(?:\.[a-z0-9]+)?"
_UCR = re.compile(r"\d+_UCR_Anomaly_.+_(\d+)_(\d+)_(\d+)" + _ENDING, re.IGNORECASE)
_TSB_AD = re.compile(r"\d+_.+_id_\d+_.+_tr_(\d+)_1st_\d+" + _ENDING, re.IGNORECASE)


@dataclass(frozen=True)
class ArchiveName:
    """The steps that the name of a file of the UCR archive tells, counted from 0.

    Attributes:
        normal_steps: how many of the first steps are without an anomaly.
        start: the first step of the anomaly.
        stop: the step behind its last.
    """

    normal_steps: int
    start: int
    stop: int


def archive_name(source: object) -> ArchiveName | None:
    """Return the steps that the name of a file tells; None where it is no path, or no name of the UCR archive."""
    found = _matched(_UCR, source)
    return None if found is None else ArchiveName(*map(int, found.groups()))


def with_archive_parts(reading: "Reading", source: object) -> "Reading":
    """Return a file of an archive with the length of its normal part, and labels [T] where its name has them.

    Any other table comes back as it is.

    Raises:
        InputError: the file ends before its normal part or its anomaly does.
    """
    if len(reading.panel) != 1:
        return reading
    if (found := _matched(_TSB_AD, source)) is not None:
        return _with_normal_part(reading, int(found[1]))
    name = archive_name(source)
    no_dates = reading.labels is None and reading.panel.freq is None
    return _with_ucr_labels(reading, name) if name and no_dates and len(reading.panel.channels) == 1 else reading


def _matched(pattern: re.Pattern[str], source: object) -> re.Match[str] | None:
    return pattern.fullmatch(Path(source).name) if isinstance(source, (str, Path)) else None


def _with_normal_part(reading: "Reading", normal_steps: int) -> "Reading":
    """Return a reading whose panel says how many of its first steps are normal.

    Raises:
        InputError: it has no more steps than these.
    """
    if reading.panel.lengths[0] <= normal_steps:
        raise InputError(
            f"Expected more than the {normal_steps:,} steps that are to learn from, as the file's name says, found "
            f"{reading.panel.lengths[0]:,}. Give the whole file under its own name, or another name, which says "
            "nothing of parts."
        )
    note = Remark(f"by the file's name the first {normal_steps:,} steps are to learn from")
    origin = replace(reading.panel.origin, normal_steps=normal_steps)
    return replace(reading, panel=replace(reading.panel, origin=origin), notes=(*reading.notes, note))


def _with_ucr_labels(reading: "Reading", name: ArchiveName) -> "Reading":
    """Return a reading with the labels and the normal part that a name of the UCR archive tells.

    Raises:
        InputError: the file ends before the anomaly does.
    """
    panel = reading.panel
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
