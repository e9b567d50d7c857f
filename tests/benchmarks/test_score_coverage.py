import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.closed_form_games import KINDS, make_game

from benchmarks import score_coverage
from tracetune.selection.scores.shapley import exact_shapley


@pytest.mark.parametrize("kind", KINDS)
def test_the_known_importance_is_that_of_all_sets(kind: str) -> None:
    game = make_game(kind, modules=5, seed=1)
    losses = game.subset_losses()
    exact = exact_shapley(lambda opened: float(losses[opened @ (2 ** np.arange(5))]), 5, progress=False)
    np.testing.assert_allclose(game.importance(None), exact.values, atol=1e-6)
    everything = [losses[31 - 2**module] - losses[31] for module in range(5)]
    np.testing.assert_allclose(game.importance(1.0), everything, atol=1e-6)
    mixed = [game.importance(share) for share in (0.3, 0.5, 0.7)]
    assert np.ptp(mixed, axis=0).max() > (-1 if kind == "additive" else 0.01)


def test_errors_cover_the_known_importance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_coverage, "KINDS", ("high order",))
    monkeypatch.setattr(score_coverage, "MODULES", 6)
    monkeypatch.setattr(score_coverage, "COPIES", 40)
    monkeypatch.setattr(score_coverage, "SHARES", (1 / 6, 0.5, 1.0))
    score_coverage.main(["--seeds", "80", "--output", str(tmp_path / "coverage")])
    found = json.loads((tmp_path / "coverage.json").read_text())["rows"]
    assert {row["score"] for row in found} == {"per_sample", "per_batch", "diagonal", "8 pairs", "32 pairs"}
    for row in found:
        assert row["coverage"] > (0.88 if row["score"] != "diagonal" else 0), row
    assert "Target 90 to 99 %" in (tmp_path / "coverage.md").read_text()
