from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.selection.toys import forecast_batches, lora_forecaster
from tracetune.base.errors import InputError
from tracetune.selection.config import SelectionConfig
from tracetune.selection.gates import Gates
from tracetune.selection.importance import score_modules
from tracetune.selection.rounds.plan import score_passes
from tracetune.selection.scores import SCORES, ScoreValues, find_score, register_score


@pytest.fixture
def toy_score() -> Iterator[str]:
    """A score as a user's file would register it: the number of a module, times ``factor``."""

    @register_score("toy", passes=lambda modules, *, factor: factor * modules + 0.5, signed=False)
    def toy(gates: Gates, batches: Any, loss_fn: Any, *, factor: float = 2.0) -> ScoreValues:
        return ScoreValues(factor * np.arange(gates.M), None, samples=0, forward_equivalents=0.0)

    yield "toy"
    del SCORES["toy"]


def test_a_new_score_is_found_by_everything_that_knows_scores_by_name(toy_score: str) -> None:
    model = lora_forecaster()
    result = score_modules(model, forecast_batches(), method=toy_score, factor=3.0)
    assert result.scores.tolist() == [0.0, 3.0, 6.0, 9.0]
    assert result.ranking()[0] == Gates(model).names[-1]
    assert score_passes(SelectionConfig(score=toy_score), modules=4, masks="per_sample", keep=0.5) == 8.5
    with pytest.raises(InputError, match="Unknown option of score 'toy' 'factors'"):
        score_modules(model, [], method=toy_score, factors=1)


def test_what_a_score_costs_is_its_own_to_say() -> None:
    assert find_score("shapley").passes_per_batch(42) == 2 + 32 * 2 * 41
    assert find_score("shapley").passes_per_batch(42, pairs=3, n_masks=9) == 2 + 3 * 2 * 41
    assert find_score("leave_one_out").passes_per_batch(42) == 43
    assert find_score("gated_dsic").passes_per_batch(42, masks="per_batch", n_masks=5) == 15
    assert find_score("magnitude").passes_per_batch(42) == 0


def test_a_name_is_given_once(toy_score: str) -> None:
    with pytest.raises(InputError, match="Expected a new name for a score, found 'toy'"):

        @register_score("toy", passes=0.0, signed=True)
        def another(gates: Gates, batches: Any, loss_fn: Any) -> ScoreValues:
            raise AssertionError

    with pytest.raises(InputError, match="Did you mean 'gated_dsic'"):
        find_score("gated_dscic")
