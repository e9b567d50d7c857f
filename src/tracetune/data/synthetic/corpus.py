"""The corpus: families in their shares, mixed with each other, with the accidents of real measurements."""

import torch
from torch import Tensor
from torch.nn import functional

from tracetune.base.errors import InputError
from tracetune.data.synthetic.draws import Draws, standardise
from tracetune.data.synthetic.families import FAMILIES

_LARGEST = 30.0  # deviations


class SyntheticCorpus:
    """An endless, seeded source of series; the same seed and calls give the same series."""

    def __init__(self, length: int = 512, seed: int = 0, device: torch.device | str = "cpu") -> None:
        if length < 8:
            raise InputError(f"Expected series of at least 8 steps, found length={length}.")
        self.length = length
        self._draws = Draws(seed, device)

    def sample(self, n: int) -> Tensor:
        """n new series [n, length], float32, finite, none of them constant, in random order."""
        draws = self._draws
        shares = torch.tensor([family.share for family in FAMILIES.values()], device=draws.device)
        chosen = torch.multinomial(shares, n, replacement=True, generator=draws.generator)
        counts = chosen.bincount(minlength=len(FAMILIES)).tolist()
        rows = torch.cat(
            [
                family.generate(count, self.length, draws)
                for family, count in zip(FAMILIES.values(), counts, strict=True)
                if count
            ]
        )
        rows = standardise(rows[draws.permutation(n)])
        return add_accidents(mix(rows, draws), draws)


def mix(series: Tensor, draws: Draws, share: float = 0.15) -> Tensor:
    """Replace a share of the rows [n, L] by a convex combination with another row (TSMixup, Ansari et al. 2024)."""
    n = len(series)
    chosen, weight = draws.chance(share, n, 1), draws.uniform(n, 1)
    return torch.where(chosen, weight * series + (1 - weight) * series[draws.permutation(n)], series)


def add_accidents(series: Tensor, draws: Draws) -> Tensor:
    """Spikes, level shifts, rounding, clipping, smoothing and sign flips, each on a share of the rows [n, L]."""
    n, length = series.shape
    series = standardise(series)
    spikes = (draws.uniform(n, length) < 0.01) * draws.normal(n, length) * 4
    series = series + spikes * draws.chance(0.12, n, 1)
    shift = (draws.steps(n, length) >= draws.uniform(n, 1) * length) * draws.normal(n, 1) * 2
    series = series + shift * draws.chance(0.1, n, 1)
    resolution = draws.log_uniform(n, 1, low=0.05, high=0.8)
    series = torch.where(draws.chance(0.08, n, 1), (series / resolution).round() * resolution, series)
    series = torch.where(draws.chance(0.05, n, 1), series.clamp(min=-0.5), series)
    padded = functional.pad(series.unsqueeze(1), (2, 2), mode="replicate")
    series = torch.where(draws.chance(0.12, n, 1), functional.avg_pool1d(padded, 5, 1).squeeze(1), series)
    series = torch.where(draws.chance(0.3, n, 1), -series, series)
    series = series + draws.normal(n, length) * 1e-3
    return series.clamp(-_LARGEST, _LARGEST)
