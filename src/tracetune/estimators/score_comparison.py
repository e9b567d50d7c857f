"""Module scores of two runs side by side: their rank correlation, and the modules both kept, beside random choices.

Shapes: M modules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tracetune.base.errors import InputError, either
from tracetune.base.files import read_json_object
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json
from tracetune.estimators.saved_model import RECORD_FILE
from tracetune.evaluation.statistics import Interval
from tracetune.selection.agreement import Overlap, rank_agreement, set_overlap
from tracetune.selection.importance import Importance

IMPORTANCE_FILE = "importance.json"


@dataclass(frozen=True)
class _Entry:
    values: dict[str, float]
    share_beyond_noise: float | None


@dataclass(frozen=True)
class _Scores:
    """The part of importance.json that is read."""

    scores: dict[str, _Entry]


@dataclass(frozen=True)
class _Round:
    smoothed: dict[str, float]
    told_apart: float | None


@dataclass(frozen=True)
class _Method:
    score: str


@dataclass(frozen=True)
class _Selection:
    """The part of a record of TRACE that is read."""

    config: _Method
    kept: list[str]
    rounds: list[_Round]


@dataclass(frozen=True)
class ModuleScores:
    """Scores of the modules of one run.

    Attributes:
        values: by module, higher is more important.
        kept: modules that the run kept; None where it only scored them.
        told_apart: share of the scores that differ from zero by more than two standard errors; None where unknown.
    """

    values: Mapping[str, float]
    kept: frozenset[str] | None
    told_apart: float | None

    def chosen(self, keep: float) -> frozenset[str]:
        """Return the modules that were kept, or this share of them with the highest scores."""
        if self.kept is not None:
            return self.kept
        best = sorted(self.values, key=lambda name: self.values[name], reverse=True)
        return frozenset(best[: max(1, round(keep * len(best)))])


@dataclass(frozen=True)
class ScoreComparison:
    """One score in two runs.

    Attributes:
        score: its name.
        modules: M.
        spearman: rank correlation of the two runs' scores, with a 95 % bootstrap interval over modules.
        overlap: modules that both kept, beside what random choices of as many would share.
        told_apart: of each run, see `ModuleScores`.
    """

    score: str
    modules: int
    spearman: Interval
    overlap: Overlap
    told_apart: tuple[float | None, float | None]

    def describe(self) -> str:
        """Return in a sentence whether the two choices agree more than random ones."""
        overlap = self.overlap
        sizes = "{}" if overlap.sizes[0] == overlap.sizes[1] else "{} and {}"
        found = (
            f"{self.score}: of {sizes.format(*overlap.sizes)} kept modules out of {self.modules}, {overlap.shared} are "
            f"the same, where random choices share {overlap.expected:.3g} (p = {overlap.p_value:.2g})"
        )
        if overlap.p_value < 0.05:
            return f"{found}: more than random choices do."
        return f"{found}: no more than random choices do."


def compare_scores(first: Any, second: Any, keep: float = 0.5) -> list[ScoreComparison]:
    """Compare the module scores of two runs, such as two seeds, score by score.

    >>> from tracetune.selection.importance import Importance
    >>> names = tuple("abcdef")
    >>> first, second = (
    ...     Importance(names, np.array(scores), None, "gated_dsic", {}, 8, 3.0, 0.1)
    ...     for scores in ([6.0, 5, 4, 3, 2, 1], [5.0, 6, 4, 1, 2, 3])
    ... )
    >>> overlap = compare_scores([first], [second])[0].overlap
    >>> overlap.shared, overlap.expected
    (3, 1.5)

    Args:
        first: an estimator that TRACE fine-tuned, or its folder: the scores are those that the final choice followed.
            Or what `module_importance` returns, or a folder of ``tracetune importance``.
        second: the other run.
        keep: share of the modules that counts as kept where a run only scored them.

    Returns:
        One entry for each score that both have.

    Raises:
        InputError: a run without scores, no score in common, or scores of different modules.
    """
    if not 0 < keep < 1:
        raise InputError(f"Expected a share to keep between 0 and 1, found {keep}.")
    runs = [_scores_of(source) for source in (first, second)]
    common = [score for score in runs[0] if score in runs[1]]
    if not common:
        names = " and ".join(", ".join(run) for run in runs)
        raise InputError(f"Expected a score that both runs have, found {names}.")
    return [_compared(score, runs[0][score], runs[1][score], keep) for score in common]


def _compared(score: str, first: ModuleScores, second: ModuleScores, keep: float) -> ScoreComparison:
    names = list(first.values)
    if set(names) != set(second.values):
        both = len(set(names) & set(second.values))
        raise InputError(
            f"Expected scores of the same modules, found {len(names)} and {len(second.values)}, of which {both} are in "
            "both. A model that kept some modules can only score those; compare the fine-tuned folders themselves."
        )
    one, other = (np.array([run.values[name] for name in names]) for run in (first, second))
    return ScoreComparison(
        score=score,
        modules=len(names),
        spearman=rank_agreement(one, other).spearman,
        overlap=set_overlap(first.chosen(keep), second.chosen(keep), len(names)),
        told_apart=(first.told_apart, second.told_apart),
    )


def _scores_of(source: Any) -> dict[str, ModuleScores]:
    """Return the scores of one run by name."""
    if isinstance(source, Importance):
        source = [source]
    if isinstance(source, Sequence) and not isinstance(source, str):
        return {each.method: _measured(each) for each in source}
    if not isinstance(source, str | Path):
        return _of_selection(getattr(source, "trace", None), type(source).__name__)
    folder = Path(source).expanduser()
    if (folder / IMPORTANCE_FILE).is_file():
        where = folder / IMPORTANCE_FILE
        scores = from_json(_Scores, read_json_object(where), str(where)).scores
        return {name: ModuleScores(entry.values, None, entry.share_beyond_noise) for name, entry in scores.items()}
    if (folder / RECORD_FILE).is_file():
        return _of_selection(read_json_object(folder / RECORD_FILE), str(folder))
    raise InputError(
        f"Expected a fine-tuned folder or one of `tracetune importance`, found neither {RECORD_FILE} nor "
        f"{IMPORTANCE_FILE} in {folder}."
    )


def _measured(importance: Importance) -> ModuleScores:
    values = dict(zip(importance.names, importance.scores.tolist(), strict=True))
    return ModuleScores(values, None, importance.share_beyond_noise)


def _of_selection(trace: JsonObject | None, where: str) -> dict[str, ModuleScores]:
    """Return the scores that the final choice of a run of TRACE followed."""
    record = (trace or {}).get("selection")
    if record is None:
        raise InputError(
            f"Expected a run that selected modules (method trace), found none in {where}. Score the modules of other "
            f"models first, with {either('module_importance(...)', '`tracetune importance`')}."
        )
    selection = from_json(_Selection, record, f"the selection of {where}")
    if not selection.rounds:
        raise InputError(f"Expected rounds of selection, found none in {where}: it ended before its first one.")
    last = selection.rounds[-1]
    return {selection.config.score: ModuleScores(last.smoothed, frozenset(selection.kept), last.told_apart)}
