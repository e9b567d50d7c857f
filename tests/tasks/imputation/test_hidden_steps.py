"""Patterns of hidden steps: the share that is asked for, and something left to see."""

import numpy as np
import pytest

from tracetune.tasks.imputation.hidden_steps import PATTERNS, draw_hidden


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("channels", [1, 3])
def test_patterns_hide_about_the_share_that_is_asked_for(pattern: str, channels: int) -> None:
    generator = np.random.default_rng(0)
    hidden = np.stack([draw_hidden(pattern, 0.3, (channels, 200), generator) for _ in range(50)])
    assert hidden.mean() == pytest.approx(0.3, abs=0.07)
    assert not hidden.all(axis=(1, 2)).any()


@pytest.mark.parametrize("share", [0.05, 0.125, 0.5, 0.9])
def test_blocks_hide_the_share_to_the_step(share: float) -> None:
    generator = np.random.default_rng(0)
    assert {draw_hidden("blocks", share, (2, 512), generator).mean() for _ in range(20)} == {round(512 * share) / 512}
