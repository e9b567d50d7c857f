"""The pair of runs that the benchmark compares has equal losses."""

from benchmarks import linear_probe
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import HORIZON, tiny_backbone


def test_with_and_without_cache_have_equal_losses(monkeypatch) -> None:
    monkeypatch.setattr(linear_probe, "HORIZON", HORIZON)
    row = linear_probe.probe_row(synthetic_case(), tiny_backbone(), epochs=2)
    assert row["difference"] < 1e-5
    assert row["with"] > 0 and row["without"] > 0
    assert "| 2 |" in linear_probe.markdown([{"geometry": "tiny", **row}]).replace("     2", "2")
