"""Scorers of one channel that work together, by name: how far they reach, and what calibrates them."""

from collections.abc import Mapping

from tracetune.tasks.anomaly.scores.scorer import Calibration, ChannelScorer

Members = Mapping[str, ChannelScorer]


def farthest_reach(members: Members) -> int:
    """Return the steps of the farthest reaching member."""
    return max(member.reach for member in members.values())


def calibration_of(members: Members) -> Calibration:
    """Return the calibrations of all members, each entry under its member's name."""
    return {f"{name}.{key}": value for name, member in members.items() for key, value in member.calibration.items()}


def of_member(calibration: Calibration | None, name: str) -> Calibration | None:
    """Return the entries of a calibration that are of the member ``name``."""
    if calibration is None:
        return None
    return {key[len(name) + 1 :]: value for key, value in calibration.items() if key.startswith(f"{name}.")}
