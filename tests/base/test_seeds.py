"""One seed fixes every generator."""

import random

import numpy as np
import pytest
import torch

from tracetune.base.errors import InputError
from tracetune.base.seeds import seed_everything


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(1).item()  # noqa: NPY002


def test_the_same_seed_gives_the_same_numbers() -> None:
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_numpy_does_not_take_are_refused(seed: int) -> None:
    with pytest.raises(InputError, match=f"from 0 to 4294967295, found {seed}"):
        seed_everything(seed)
