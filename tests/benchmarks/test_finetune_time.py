"""The peer's loop learns, and the table says when a run has reached the peer's best loss."""

import pytest
import torch
from benchmarks.peers import ALL_LINEAR, momentfm_lora

from benchmarks import finetune_time
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import HORIZON, tiny_backbone


def test_the_peers_loop_lowers_the_loss() -> None:
    pytest.importorskip("momentfm", reason="the peer")
    torch.manual_seed(0)
    model = momentfm_lora(tiny_backbone(), HORIZON, ALL_LINEAR, 2)
    curve = finetune_time.train_peer(model, synthetic_case(), epochs=4, evaluations=4, bf16=False)
    assert len(curve) == 4
    assert curve[-1][1] < curve[0][1]
    assert curve == sorted(curve)


def test_the_time_to_a_loss_is_that_of_the_first_evaluation_at_or_below_it() -> None:
    curve = [[1.0, 0.9], [2.0, 0.5], [3.0, 0.6]]
    assert finetune_time.seconds_to(curve, 0.6) == 2.0
    assert finetune_time.seconds_to(curve, 0.4) is None


def test_the_table_compares_with_the_peer_of_the_same_precision() -> None:
    def row(method: str, seconds: float, loss: float) -> dict:
        return {
            "method": method, "precision": "float32", "repeat": 0, "curve": [[seconds / 2, loss + 1], [seconds, loss]],
            "unit_seconds": 2.0, "peak_bytes": 1e9, "phases": {"selection": 0.5},
        }  # fmt: skip

    ours = next(iter(finetune_time.OURS))
    text = finetune_time.markdown([row(finetune_time.PEER, 10.0, 0.5), row(ours, 5.0, 0.4)])
    line = next(line for line in text.splitlines() if ours in line)
    assert [cell.strip() for cell in line.split("|")[2:6]] == ["5.000", "0.5000", "2.500", "0.4000"]
