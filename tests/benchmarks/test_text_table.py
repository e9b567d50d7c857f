"""The report on texts, from cells with known numbers."""

import json
from pathlib import Path

from benchmarks.text_report import report
from benchmarks.text_table import METHODS, SETS, cells


def cell(method: str, seed: int, score: float) -> dict[str, object]:
    return {
        "set": "TREC", "seed": seed, "method": method, "accuracy": score, "most_frequent": {"accuracy": 0.25},
        "winner": "trace", "parameters": {"head": 10, "adapters": 20}, "rounds": 6,
        "batches_per_round": 2, "processor_seconds": 7.0, "cut": SETS["TREC"].cut,
    }  # fmt: skip


def test_scores_and_differences_are_those_of_the_cells(tmp_path: Path) -> None:
    for seed, (trace, random) in enumerate([(0.9, 0.8), (0.8, 0.6)]):
        for method, score in (("TRACE, keep .25", trace), ("random, keep .25", random)):
            (tmp_path / f"{method}{seed}.json").write_text(json.dumps(cell(method, seed, score)))
    earlier = {**cell("LoRA", 0, 0.99), "cut": {**SETS["TREC"].cut, "train_rows": 10}}
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    page = tmp_path / "text.md"
    page.write_text("# Title\n\nWords.\n\n<!-- tables -->\nold")
    report(tmp_path, page, SETS, METHODS)
    text = page.read_text()
    assert text.startswith("# Title\n\nWords.\n") and "old" not in text
    assert "| TRACE, keep .25 | 0.850 ± 0.071 |" in text
    assert "LoRA" not in text.partition("## Paired")[0]  # of another cut
    assert "| most frequent class | 0.250 |" in text
    assert "| TRACE, keep .25 | random, keep .25 | 2 | 2 of 2 | +0.150 | +0.100 to +0.200 |" in text
    assert "| TRACE, keep .25 | 10 | 20 | 7 | 6 x 2.0 | 0 of 2 |" in text


def test_every_cell_once() -> None:
    class Arguments:
        seeds, sets, methods = [0, 1], list(SETS), list(METHODS)

    found = list(cells(Arguments()))  # type: ignore[arg-type]
    assert len(found) == len(set(found)) == 2 * len(SETS) * len(METHODS)
