"""A digest tells data sets apart by what they hold."""

import numpy as np
import torch

from tracetune.data.batch_source import chosen_rows
from tracetune.data.digest import data_digest
from tracetune.data.windows import Windows


def windows(values: np.ndarray, **options: object) -> Windows:
    return Windows([values, values[:, :40]], 8, 4, **options)


def test_everything_that_makes_another_data_set_makes_another_digest() -> None:
    values = np.random.default_rng(0).normal(size=(2, 60)).astype(np.float32)
    changed = values.copy()
    changed[1, 59] += 1e-6
    missing = values.copy()
    missing[0, 3] = np.nan
    sources = [
        windows(values),
        windows(changed),
        windows(missing),
        windows(values, stride=2),
        windows(values, ranges=[(0, 60), (0, 30)]),
        windows(values, min_context=2),
        Windows([values, values[:, :40]], 8, 5),
        chosen_rows(windows(values), [0, 3, 5]),
        chosen_rows(windows(values), [3, 0, 5]),
    ]
    assert len({data_digest(source) for source in sources}) == len(sources)
    assert data_digest(windows(values)) == data_digest(windows(values.copy()))


class Rows:
    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        return {"values": self.values[indices]}


def test_any_other_data_set_is_read() -> None:
    values = torch.arange(3000.0)
    changed = values.clone()
    changed[2999] = 0
    assert data_digest(Rows(values)) == data_digest(Rows(values.clone()))
    assert data_digest(Rows(values)) != data_digest(Rows(changed))
    assert data_digest(Rows(values)) != data_digest(Rows(values[:-1]))
