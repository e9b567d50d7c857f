"""Read the header of a .ts file, and compare the series below it with what it says.

    @univariate false
    @dimensions 6
    @equalLength true
    @seriesLength 100
    @missing false
    @classLabel true Standing Running

Channels and classes that contradict the header are refused: a colon within a value or a class makes a channel more, and
a misspelled class one class more. Lengths and gaps that contradict it are said: archives have such headers, and no
value is read another way for them.

Shapes: C channels, L steps.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracetune.base.errors import InputError, shown
from tracetune.base.plain_numbers import plain_number

logger = logging.getLogger(__name__)

DATA = "@data"
_DIMENSIONS = ("@dimensions", "@dimension")  # both are written
_SHOWN = 10  # classes in a message


@dataclass(frozen=True)
class TsHeader:
    """The header of a .ts file.

    Attributes:
        path: of the file.
        entries: what follows each key, such as ``{"@classlabel": "true Standing Running"}``; keys in small letters.
    """

    path: Path
    entries: dict[str, str]

    @classmethod
    def of(cls, path: Path, lines: Sequence[str]) -> "TsHeader":
        """Return the header among the lines of a file."""
        found: dict[str, str] = {}
        for line in lines:
            if line.strip().startswith("@"):
                key, *rest = line.split()
                found[key.lower()] = " ".join(rest)
                if key.lower() == DATA:
                    break
        return cls(path, found)

    def says(self, key: str, answer: str = "true") -> bool:
        """Return whether a key has this answer."""
        return self.entries.get(key, "").lower().split()[:1] == [answer]

    def require_channels(self, channels: int, where: str) -> None:
        """Refuse another number of channels than the header says.

        Raises:
            InputError: names the line of the header.
        """
        said = [(int(self.entries[key]), key) for key in _DIMENSIONS if self.entries.get(key, "").isdecimal()]
        said += [(1, "@univariate")] if self.says("@univariate") else []
        for count, key in said:
            if channels != count:
                raise InputError(
                    f"Expected {count} channel{'s' if count > 1 else ''} in {where}, as its header says "
                    f"('{key} {self.entries[key]}'), found {channels}. Correct the line or the header; colons separate "
                    "channels, and the class from them."
                )

    def require_class(self, label: str, where: str) -> None:
        """Refuse a class that the header does not list, if it lists any; 1.0 is 1.

        Raises:
            InputError: names the classes of the header.
        """
        listed = self.entries.get("@classlabel", "").replace(",", " ").split()[1:]
        if not listed or f" {label} " in f" {' '.join(listed)} ":  # a class may have blanks
            return
        number = plain_number(label)
        if number is None or number not in map(plain_number, listed):
            more = ", ..." if len(listed) > _SHOWN else ""
            raise InputError(
                f"Expected one of the classes {', '.join(listed[:_SHOWN])}{more} in {where}, as its header lists them "
                f"(@classLabel), found {shown(label)}. Correct it, or list it in the header."
            )

    def say_contradictions(self, values: Sequence[np.ndarray]) -> None:
        """Say what of the lengths and gaps of series [C, L] is other than the header says."""
        lengths = sorted({series.shape[1] for series in values})
        found = f"{lengths[0]:,} steps" if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,} steps"
        stated = self.entries.get("@serieslength", "")
        said = []
        if self.says("@equallength") and len(lengths) > 1:
            said.append(f"'@equalLength true', its series have {found}")
        elif stated.isdecimal() and int(stated) != lengths[-1] and not self.says("@equallength", "false"):
            said.append(f"'@seriesLength {stated}', its series have {found}")
        gaps = sum(int(np.isnan(series).sum()) for series in values)
        if gaps and self.says("@missing", "false") and not self.says("@timestamps"):  # there, steps may be left out
            said.append(f"'@missing false', {gaps:,} of its values are missing")
        for each in said:
            logger.warning("%s says %s. They are read as they are; see whether the file is whole.", self.path, each)
