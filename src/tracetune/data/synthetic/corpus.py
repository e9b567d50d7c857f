"""The corpus: generators in their shares, at several resolutions, mixed with each other and transformed."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.data.synthetic import dynamical, events, gaussian_process, seasonal, stochastic
from tracetune.data.synthetic.components import standardise
from tracetune.data.synthetic.random_source import RandomSource
from tracetune.data.synthetic.transforms import mix_rows, transform

Generator = Callable[[int, int, RandomSource], Tensor]

GENERATORS: dict[str, Generator] = {
    "nested_seasons": seasonal.nested_seasons,
    "working_week": seasonal.working_week,
    "transformer_load": seasonal.transformer_load,
    "weather": seasonal.weather,
    "sunlight": seasonal.sunlight,
    "gaussian_process": gaussian_process.gaussian_process,
    "random_walk": stochastic.random_walk,
    "arima": stochastic.arima,
    "volatility_clusters": stochastic.volatility_clusters,
    "coloured": stochastic.coloured,
    "growth": stochastic.growth,
    "regimes": stochastic.regimes,
    "intermittent": events.intermittent,
    "counts": events.counts,
    "spikes_and_shifts": events.spikes_and_shifts,
    "duty_cycle": events.duty_cycle,
    "waves": dynamical.waves,
    "lorenz": dynamical.lorenz,
    "roessler": dynamical.roessler,
    "van_der_pol": dynamical.van_der_pol,
    "logistic_map": dynamical.logistic_map,
}

DEFAULT_MIX: dict[str, float] = {
    "nested_seasons": 0.22,
    "working_week": 0.12,
    "transformer_load": 0.14,
    "weather": 0.10,
    "sunlight": 0.04,
    "gaussian_process": 0.09,
    "random_walk": 0.03,
    "arima": 0.05,
    "volatility_clusters": 0.02,
    "coloured": 0.02,
    "growth": 0.03,
    "regimes": 0.015,
    "intermittent": 0.015,
    "counts": 0.03,
    "spikes_and_shifts": 0.02,
    "duty_cycle": 0.015,
    "waves": 0.02,
    "lorenz": 0.005,
    "roessler": 0.005,
    "van_der_pol": 0.01,
    "logistic_map": 0.005,
}

_COARSE_SHARE = 0.12  # of the rows are averages of a series of twice or four times the length
_BLOCK_SEEDS = 1_000_003  # blocks of one seed before those of the next begin


class SyntheticCorpus:
    """An endless, seeded sequence of synthetic series, read by position.

    Block k of the rows is generated from (seed, k) alone, so a row depends neither on what was read before it nor on
    how reads are cut, and a run that resumes reads what an uninterrupted one reads. The newest block is kept: reading
    in order generates each block once. Each row has mean 0 and deviation 1.

    Args:
        length: steps per series L.
        seed: fixes all rows.
        device: where the rows are made and stay; an accelerator makes other rows of the same distribution.
        mix: weight per name in ``GENERATORS``; None for ``DEFAULT_MIX``.
        block_size: rows generated at once; an accelerator is fast only on many. Belongs to the seed: other block
            sizes give other rows.

    Raises:
        InputError: a length or block size below 16, an unknown generator in ``mix``, or weights that cannot be
            drawn from.
    """

    def __init__(
        self,
        length: int = 512,
        seed: int = 0,
        device: torch.device | str = "cpu",
        mix: dict[str, float] | None = None,
        block_size: int = 4096,
    ) -> None:
        if length < 16:
            raise InputError(f"Expected a length of at least 16 steps, found {length}.")
        if block_size < 16:
            raise InputError(f"Expected a block_size of at least 16 rows, found {block_size}.")
        self.length = length
        self.seed = seed
        self.device = torch.device(device)
        self.mix = _checked(DEFAULT_MIX if mix is None else mix)
        self.block_size = block_size
        self._number, self._block = -1, torch.empty(0)

    def rows(self, positions: Sequence[int]) -> Tensor:
        """Return the series at these positions, [n, L], float32."""
        return torch.stack(
            [self._load(position // self.block_size)[position % self.block_size] for position in positions]
        )

    def _load(self, number: int) -> Tensor:
        if number != self._number:
            source = RandomSource(self.seed * _BLOCK_SEEDS + number, self.device)
            self._number, self._block = number, generate(self.block_size, self.length, source, self.mix)
        return self._block


def generate(n: int, length: int, source: RandomSource, mix: Mapping[str, float] = DEFAULT_MIX) -> Tensor:
    """Draw n rows [n, L] of the mix in random order: plain and coarse ones, mixed with each other, transformed."""
    coarse = round(_COARSE_SHARE * n / 2)
    parts = [_plain(n - 2 * coarse, length, source, mix)]
    for factor in (2, 4):
        fine = _plain(coarse, factor * length, source, mix)
        parts.append(standardise(fine.unflatten(1, (length, factor)).mean(2)))
    rows = torch.cat(parts)[source.permutation(n)]
    rows = transform(mix_rows(rows, source), source)
    broken = ~rows.isfinite().all(1, keepdim=True) | (rows.std(1, keepdim=True) < 0.5)
    return torch.where(broken, standardise(source.normal(n, length).cumsum(1)), rows)


def _plain(n: int, length: int, source: RandomSource, mix: Mapping[str, float]) -> Tensor:
    """Draw n standardised rows [n, L] of the mix, generator by generator."""
    counts = source.allocate(n, list(mix.values()))
    rows = [GENERATORS[name](count, length, source) for name, count in zip(mix, counts, strict=True) if count]
    return standardise(torch.cat(rows))


def _checked(mix: Mapping[str, float]) -> Mapping[str, float]:
    """Return the mix, or raise InputError unless it names generators and can be drawn from."""
    unknown = sorted(set(mix) - set(GENERATORS))
    if unknown:
        raise InputError(f"Unknown generators in mix: {', '.join(unknown)}. Available: {', '.join(GENERATORS)}.")
    if min(mix.values(), default=0) < 0 or not sum(mix.values()) > 0:
        raise InputError(f"Expected a mix of weights >= 0 with at least one above 0, found {mix}.")
    return mix
