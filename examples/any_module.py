"""TRACE on a module of your own: a small transformer, pretrained here and now, becomes a fine-tuned forecaster.

Run it with ``python examples/any_module.py``: half a minute on a laptop CPU. The series ships with statsmodels.
"""

import math
import sys
from pathlib import Path

import pandas as pd
import torch
from statsmodels.datasets import elnino
from torch import Tensor, nn

from tracetune import FitConfig, Forecaster, SelectionConfig, Trace, TrainingConfig, wrap_module

CONTEXT, PATCH, WIDTH, HORIZON = 96, 12, 32, 24


class PatchTransformer(nn.Module):
    """Predicts the next patch of a series from those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.next_patch = nn.Linear(WIDTH, PATCH)

    def tokens(self, values: Tensor) -> Tensor:
        """Return one token [rows, N, D] a patch of values [rows, T]; none sees what comes after it."""
        patches = self.embed(values.unflatten(-1, (-1, PATCH)))
        causal = nn.Transformer.generate_square_subsequent_mask(patches.shape[1], device=values.device)
        return self.encoder(patches, mask=causal, is_causal=True)

    def forward(self, values: Tensor) -> Tensor:
        """Return the next patch at each patch, [rows, N, P]."""
        return self.next_patch(self.tokens(values))


def pretrain(module: PatchTransformer, steps: int) -> None:
    """Learn to continue sums of two sines with random periods."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    time = torch.arange(CONTEXT + PATCH)
    for _ in range(steps):
        periods, phases = 6 + 30 * torch.rand(2, 64, 1), 2 * math.pi * torch.rand(2, 64, 1)
        series = torch.sin(2 * math.pi * time / periods + phases).sum(0) + 0.1 * torch.randn(64, len(time))
        targets = series[:, PATCH:].unflatten(-1, (-1, PATCH))
        loss = (module(series[:, :-PATCH]) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(output: str = "runs/any_module", pretraining_steps: int = 300, epochs: float = 3.0) -> pd.DataFrame:
    """Pretrain, fine-tune with TRACE on the sea surface temperature of the El Nino region, save, load, evaluate."""
    torch.manual_seed(0)
    module = PatchTransformer()
    pretrain(module, pretraining_steps)

    backbone = wrap_module(
        module,
        context_length=CONTEXT,
        patch_length=PATCH,  # steps that a token stands for
        width=WIDTH,  # of a token
        encode="tokens",  # values [rows, T] -> tokens [rows, N, D]
        layers=("embed", "encoder.*.linear*"),  # what may adapt
    )

    months = elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()
    timestamps = pd.date_range("1950-01-01", periods=len(months), freq="MS")
    frame = pd.DataFrame({"item_id": "nino", "timestamp": timestamps, "target": months})
    config = FitConfig(
        method=Trace(SelectionConfig(keep=0.6)),  # three of the five LoRA modules stay
        training=TrainingConfig(num_train_epochs=epochs),
    )
    tuned = Forecaster.from_backbone(backbone, HORIZON, name="patch transformer").fit(frame[:-HORIZON], config=config)
    tuned.save_pretrained(Path(output) / "adapter")

    again = Forecaster.from_pretrained(Path(output) / "adapter", base=backbone)
    return again.evaluate(frame, test_length=HORIZON, season=12).overall  # errors on two years that nothing has seen


if __name__ == "__main__":
    print(main(*sys.argv[1:2]).to_string(index=False))
