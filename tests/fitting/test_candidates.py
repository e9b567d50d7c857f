"""The best on validation comes out, and what a method starts from is the one that was asked for."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import CONTEXT, HORIZON, tiny_forecast_model
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.fitting.candidates import Candidates
from tracetune.training.measure import validation_loss

VALIDATION = Windows([np.sin(np.arange(CONTEXT + 3 * HORIZON, dtype=np.float32))[None]], CONTEXT, HORIZON)


def candidates(**losses: float) -> Candidates:
    found = Candidates(VALIDATION)
    for name, loss in losses.items():
        found.add(name.replace("_", "-"), nn.Identity(), np.full(len(VALIDATION), loss))
    return found


def test_the_lowest_finite_loss_wins() -> None:
    assert candidates(zero_shot=2.0, head=1.0, lora=float("nan")).best().name == "head"


def test_the_simpler_candidate_wins_a_tie() -> None:
    assert candidates(head=1.0, lora=1.0).best().name == "head"


def test_no_finite_loss_is_an_error() -> None:
    with pytest.raises(InputError, match="finite validation loss, found head: inf"):
        candidates(head=float("inf")).best()


@pytest.mark.parametrize(
    ("start", "losses", "chosen"),
    [
        ("best", (2.0, 1.0), "head"),
        ("best", (1.0, 2.0), "zero-shot"),
        ("head", (1.0, 2.0), "head"),
        ("zero-shot", (2.0, 1.0), "zero-shot"),
    ],
)
def test_a_start_is_the_one_that_was_asked_for(start: str, losses: tuple[float, float], chosen: str) -> None:
    assert candidates(zero_shot=losses[0], head=losses[1]).named(start).name == chosen


def test_a_start_that_the_task_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="among 'head', found 'zero-shot'"):
        candidates(head=1.0).named("zero-shot")


def test_each_model_is_measured_sample_by_sample() -> None:
    model, found = tiny_forecast_model(), Candidates(VALIDATION)
    found.add("head", model)
    (candidate,) = found
    with torch.no_grad():
        expected = model(**VALIDATION.__getitems__(list(range(len(VALIDATION))))).sample_losses
    np.testing.assert_allclose(candidate.losses, expected, rtol=1e-5)
    assert candidate.validation_loss == pytest.approx(validation_loss(model, VALIDATION, batch_size=7))
