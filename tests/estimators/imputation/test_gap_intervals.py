"""Intervals of fills: wide enough for gaps of a length that validation hardly has."""

import numpy as np

from tests.tiny import tiny_backbone
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import fit_split
from tracetune.estimators.imputation.gap_intervals import gap_quantiles
from tracetune.tasks.imputation.data import fit_scalers, imputation_data
from tracetune.tasks.imputation.gaps import LENGTH_CLASSES
from tracetune.tasks.imputation.model import LINE, Imputation

CONTEXT = 512


def walk(length: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=length))


def test_gaps_that_validation_lacks_have_the_errors_of_training_windows() -> None:
    values = walk(3000, 0)
    known = Panel((Series("walk", np.arange(3000), values[None]),), ("walk",), None)
    split = fit_split(known, CONTEXT // 4)
    data = imputation_data(known, split, CONTEXT, train_windows=300)
    model = Imputation(1, CONTEXT).filling_by(tiny_backbone(), LINE)
    found = gap_quantiles(model, data, 1)
    widths = np.diff(found.at((0.1, 0.9)))[:, 0]
    assert len(widths) == LENGTH_CLASSES
    # On a walk the error in the middle of a gap of n steps has a deviation of the root of n / 4.
    assert widths[7] > 4 * widths[1] > 0  # from 128 steps on, and two or three
    scale = fit_scalers(known, split)[0].scale
    for gap in (24, 160):
        truth = np.stack([walk(gap + 2, seed) for seed in range(1, 400)])
        line = np.linspace(truth[:, 0], truth[:, -1], gap + 2, axis=1)
        errors = (truth - line)[:, 1:-1] / scale
        low, high = found.at((0.1, 0.9))[{24: 4, 160: 7}[gap]]
        assert 0.68 < ((low <= errors) & (errors <= high)).mean() < 0.93


def test_where_there_are_few_gaps_all_errors_count() -> None:
    known = Panel((Series("short", np.arange(40), walk(40, 0)[None]),), ("short",), None)
    data = imputation_data(known, fit_split(known, 8), 32, train_windows=2, validation_windows=2)
    found = gap_quantiles(Imputation(1, 32).filling_by(tiny_backbone(), LINE), data, 1)
    assert (found.values == found.values[0]).all() and np.ptp(found.values) > 0
