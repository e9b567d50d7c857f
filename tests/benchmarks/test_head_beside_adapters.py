"""The benchmark varies what it says it varies."""

import argparse

from torch import nn
from transformers import TrainerCallback

from benchmarks import head_beside_adapters
from tests.benchmarks.synthetic import synthetic_case
from tests.tiny import HORIZON, tiny_backbone


def test_dropout_of_the_head_is_what_was_asked_for(monkeypatch) -> None:
    seen: list[set[float]] = []

    class Watched(head_beside_adapters.HeadDropout):
        def on_train_end(self, args, state, control, **kwargs) -> None:
            named = kwargs["model"].named_modules()
            seen.append({m.p for name, m in named if isinstance(m, nn.Dropout) and "backbone" not in name})

    assert issubclass(Watched, TrainerCallback)
    monkeypatch.setattr(head_beside_adapters, "HeadDropout", Watched)
    options = argparse.Namespace(epochs=0.2, learning_rate=5e-4, horizon=HORIZON)
    rows = [head_beside_adapters.row(synthetic_case(), tiny_backbone(), dropout, 1e-5, options) for dropout in (0.3, 0)]
    assert seen == [{0.3}, {0.3}, {0}, {0}]  # the head's phase and that of the adapters
    assert rows[0]["losses"]["head"] == rows[1]["losses"]["head"] and rows[0]["trace"] != rows[1]["trace"]
    assert "TRACE against the head" in head_beside_adapters.markdown(rows)
