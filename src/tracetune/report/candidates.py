"""What competed on validation, in a table and in words: who is better than whom, and whether beyond noise."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def candidate_rows(trace: Row) -> list[dict[str, Any]]:
    """Return one row a candidate of a record: its loss, its factor of shrinkage, what it is better by than what."""
    return [
        {
            "name": each["name"],
            "loss": each["validation_loss"],
            "factor": each.get("factor"),
            "beside": each.get("simpler"),
            "better by": each.get("difference"),
            "standard error": each.get("error"),
        }
        for each in trace["candidates"]
    ]


def verdict(trace: Row) -> str:
    """Return why the winner has won, in a sentence for each comparison."""
    margin = trace["validation"]["margin"]
    said = [_sentence(each, margin) for each in trace["candidates"] if each.get("difference") is not None]
    return " ".join([*said, f"{trace['winner']} comes out."])


def _sentence(candidate: Row, margin: float) -> str:
    name, simpler, difference, error = (candidate[key] for key in ("name", "simpler", "difference", "error"))
    if error is None:
        found = "better" if difference > 0 else "not better"
        return f"{name} is {found} than {simpler}; one period of one series does not say how sure that is."
    if difference <= 0:
        return f"{name} is not better than {simpler}."
    by = f"by {difference:.4g}, standard error {error:.2g}"
    if candidate["better"]:
        return f"{name} is better than {simpler} {by}."
    return f"{name} is better than {simpler} {by}: less than {margin:g} standard errors, which may be noise."
