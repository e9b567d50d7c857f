"""Scorers of one channel that work together, by name: how far they reach, and what calibrates them."""

from collections.abc import Mapping
from dataclasses import replace

from tracetune.tasks.anomaly.scores.scorer import Calibration, ChannelScorer, NormalChannel

Members = Mapping[str, ChannelScorer]


def farthest_reach(members: Members) -> int:
    """Return the steps of the farthest reaching member."""
    return max(member.reach for member in members.values())


def calibration_of(members: Members) -> Calibration:
    """Return the calibrations of all members, each entry under its member's name."""
    return {f"{name}.{key}": value for name, member in members.items() for key, value in member.calibration.items()}


def of_member(normal: NormalChannel, name: str) -> NormalChannel:
    """Return what the member ``name`` is to learn: of a calibration the entries under its name only."""
    if normal.calibration is None:
        return normal
    start = f"{name}."
    entries = {key.removeprefix(start): value for key, value in normal.calibration.items() if key.startswith(start)}
    return replace(normal, calibration=entries)
