"""Scores of two runs side by side: overlap against counting, folders and estimators, and what is refused."""

import json
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tracetune import InputError, compare_scores
from tracetune.selection.agreement import set_overlap
from tracetune.selection.importance import Importance

NAMES = tuple("abcdefgh")


def trace(scores: list[float], kept: str, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    rounds = [{"smoothed": dict.fromkeys(names, 0.0), "told_apart": 0.0}]
    rounds.append({"smoothed": dict(zip(names, scores, strict=True)), "told_apart": 0.25})
    return {"selection": {"config": {"score": "gated_dsic"}, "kept": list(kept), "rounds": rounds}}


def importance(scores: list[float], method: str = "gated_dsic") -> Importance:
    return Importance(NAMES, np.array(scores), np.ones(8), method, {}, 8, 3.0, 0.1)


def test_the_overlap_of_random_sets_is_counted_over_all_of_them() -> None:
    found = set_overlap(set("abc"), set("bcde"), 8)
    shared = [len(set("abc") & set(other)) for other in combinations(NAMES, 4)]
    assert (found.sizes, found.shared) == ((3, 4), 2)
    assert found.expected == pytest.approx(np.mean(shared))
    assert found.p_value == pytest.approx(np.mean(np.array(shared) >= 2))


def test_two_fine_tuned_runs_by_their_last_round_and_what_they_kept(tmp_path: Path) -> None:
    first, second = [8.0, 7, 6, 5, 4, 3, 2, 1], [7.0, 8, 5, 6, 1, 2, 3, 4]
    records = [trace(first, "abcd"), trace(second, "abce")]
    for number, record in enumerate(records):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "trace.json").write_text(json.dumps(record))
    (found,) = compare_scores(tmp_path / "0", str(tmp_path / "1"))
    assert found.spearman.estimate == pytest.approx(stats.spearmanr(first, second).statistic)
    assert (found.modules, found.overlap.sizes, found.overlap.shared, found.overlap.expected) == (8, (4, 4), 3, 2.0)
    assert found.told_apart == (0.25, 0.25)
    assert found == compare_scores(*(SimpleNamespace(trace=record) for record in records))[0]


def test_runs_that_only_scored_keep_the_best(tmp_path: Path) -> None:
    one = [importance([8.0, 7, 6, 5, 4, 3, 2, 1]), importance([1.0] * 8, "magnitude")]
    entries = {"gated_dsic": {"values": dict(zip(NAMES, range(8), strict=True)), "share_beyond_noise": None}}
    (tmp_path / "importance.json").write_text(json.dumps({"scores": entries}))
    (found,) = compare_scores(one, tmp_path, keep=0.25)
    assert (found.overlap.sizes, found.overlap.shared) == ((2, 2), 0)
    assert found.spearman.estimate == pytest.approx(-1)
    assert found.told_apart == (0.75, None)
    assert "no more than random choices do" in found.describe()


def test_the_sentence_says_whether_it_is_more_than_chance() -> None:
    (found,) = compare_scores(importance([8.0, 7, 6, 5, 4, 3, 2, 1]), importance([8.0, 7, 6, 5, 1, 2, 3, 4]))
    assert found.describe() == (
        "gated_dsic: of 4 kept modules out of 8, 4 are the same, where random choices share 2 (p = 0.014): "
        "more than random choices do."
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SimpleNamespace(trace={"selection": None}), "method trace"),
        (SimpleNamespace(trace=None), "method trace"),
        (SimpleNamespace(trace=trace([1.0] * 3, "a", ("a", "b", "x"))), "8 and 3, of which 2 are in both"),
        (importance([1.0] * 8, "magnitude"), "found gated_dsic and magnitude"),
        (SimpleNamespace(trace={"selection": {"kept": []}}), "has no config"),
        ("nowhere", "found neither trace.json nor importance.json in nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare_scores(importance([8.0, 7, 6, 5, 4, 3, 2, 1]), other)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1, found 1"):
        compare_scores(importance([1.0] * 8), importance([1.0] * 8), keep=1)
