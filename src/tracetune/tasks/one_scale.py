"""Series of which a step of training reads one scale, as fine-tuning with all of them would take several times as long.

The logits of a classifier are a sum over scales, and over what no adapter changes. A step encodes one scale, drawn anew
for each batch, and takes the others to have changed as this one has since training began:

    z = z(start) + V (z_v - z_v(start)),

whose gradient has that of all scales as its mean. Were the others left as they were, every scale would learn what is
missing, and the sum V times as much. Adapters are shared by all scales, so that over the steps they learn from each of
them; the loss that chooses between models is always that of all scales.

Shapes: S samples, B batch, C channels, R steps, V scales, K classes.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tracetune.data.batch_source import Batch, BatchSource


class OneScale(Dataset[Batch]):
    """Samples whose batches say at which scale to read them, and what the other scales add to the logits.

    The scale of a batch is drawn by the numbers of its rows, so that a run that is resumed draws the same.

    Args:
        samples: batches with ``values`` [B, C, R] and ``labels`` [B].
        by_scale: [S, V, K] what each scale adds to the logits at the start of training.
        fixed: [S, K] what adds to them besides, and stays.
    """

    def __init__(self, samples: BatchSource, by_scale: Tensor, fixed: Tensor) -> None:
        self.samples = samples
        self.by_scale = by_scale
        self.fixed = fixed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return rows ``indices`` as one batch: theirs, ``scale`` [B], ``others`` [B, K], z(start) - V z_v(start)."""
        return self.at_scale(indices, int(np.random.default_rng(indices).integers(self.by_scale.shape[1])))

    def at_scale(self, indices: list[int], scale: int) -> Batch:
        """Return rows ``indices`` as one batch at this scale."""
        parts = self.by_scale[indices]
        return {
            **self.samples.__getitems__(indices),
            "scale": torch.full((len(indices),), scale),
            "others": self.fixed[indices] + parts.sum(dim=1) - parts.shape[1] * parts[:, scale],
        }

    def loader(self, batch_size: int) -> DataLoader[Batch]:
        """Return a loader whose items are whole batches: rows in order, each of them once at every scale."""
        return DataLoader(_EveryScale(self, batch_size), batch_size=1, collate_fn=_only)


class _EveryScale(Dataset[Batch]):
    """All batches of so many rows at all scales; item i is the i-th of them."""

    def __init__(self, samples: OneScale, batch_size: int) -> None:
        self.samples = samples
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size) * self.samples.by_scale.shape[1]

    def __getitem__(self, item: int) -> Batch:
        part, scale = divmod(item, self.samples.by_scale.shape[1])
        start = part * self.batch_size
        return self.samples.at_scale(list(range(start, min(start + self.batch_size, len(self.samples)))), scale)


def _only(items: list[Batch]) -> Batch:
    (batch,) = items
    return batch
