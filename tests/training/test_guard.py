"""The guard: the best on validation comes out."""

import pytest

from tracetune.base.errors import InputError
from tracetune.training.guard import Candidate, best_candidate


def test_the_lowest_finite_loss_wins() -> None:
    candidates = [Candidate("zero-shot", 2.0), Candidate("head", 1.0), Candidate("lora", float("nan"))]
    assert best_candidate(candidates).name == "head"


def test_the_simpler_candidate_wins_a_tie() -> None:
    assert best_candidate([Candidate("head", 1.0), Candidate("lora", 1.0)]).name == "head"


def test_no_finite_loss_is_an_error() -> None:
    with pytest.raises(InputError, match="finite validation loss, found head: inf"):
        best_candidate([Candidate("head", float("inf"))])
