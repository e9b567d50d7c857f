"""The best on validation comes out, and what a method starts from is the one that was asked for."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import CONTEXT, HORIZON, tiny_forecast_model
from tracetune.base.errors import InputError
from tracetune.data.windows import Windows
from tracetune.evaluation.periods import SampleGroups, paired_difference
from tracetune.fitting.candidates import Candidates
from tracetune.fitting.trained import Shrinkage
from tracetune.tasks.task import TrainingData
from tracetune.training.measure import validation_loss

VALIDATION = Windows([np.sin(np.arange(CONTEXT + 3 * HORIZON, dtype=np.float32))[None]], CONTEXT, HORIZON)
DATA = TrainingData(VALIDATION, VALIDATION)


def candidates(**losses: float) -> Candidates:
    found = Candidates(DATA)
    for name, loss in losses.items():
        found.add(name.replace("_", "-"), nn.Identity(), np.full(len(VALIDATION), loss))
    return found


def test_the_lowest_finite_loss_wins() -> None:
    assert candidates(zero_shot=2.0, head=1.0, lora=float("nan")).best().name == "head"


class Opposite:
    """A guard that finds two cases of two items, and the better the larger a weight is."""

    groups = SampleGroups(np.array([0, 1]), np.array([0, 1]))
    identity: ClassVar[dict[str, str]] = {"of": "a test"}

    def losses(self, model: nn.Module) -> np.ndarray:
        return np.full(2, 1 - float(model.weight))


def test_a_guard_chooses_where_there_is_one() -> None:
    found = Candidates(replace(DATA, guard=Opposite()))
    for name, weight in (("zero-shot", 0.1), ("head", 0.05), ("lora", 0.9)):
        model = nn.Module()
        model.weight = nn.Parameter(torch.tensor(weight))
        found.add(name, model)
    assert found.best().name == "lora" and found.groups is Opposite.groups
    assert [len(each.losses) for each in found] == [2, 2, 2]
    assert DATA.compared_groups.periods.shape == (len(VALIDATION),)


def test_the_simpler_candidate_wins_a_tie() -> None:
    assert candidates(head=1.0, lora=1.0).best().name == "head"


def periods_apart(gains: tuple[float, ...], margin: float) -> Candidates:
    """Zero-shot, and a head that is better by a share ``gains`` in each period."""
    periods = np.arange(len(VALIDATION)) * len(gains) // len(VALIDATION)
    found = Candidates(replace(DATA, groups=SampleGroups(periods, np.zeros_like(periods))), margin)
    hard = np.random.default_rng(0).uniform(1, 2, size=len(VALIDATION))
    found.add("zero-shot", nn.Identity(), hard)
    found.add("head", nn.Identity(), hard * (1 - np.asarray(gains)[periods]))
    return found


@pytest.mark.parametrize(
    ("gains", "margin", "winner"),
    [
        ((0.05, -0.02, 0.04, -0.04), 1.0, "zero-shot"),  # by quarter of a year: a coin
        ((0.05, -0.02, 0.04, -0.04), 0.0, "head"),
        ((0.05, 0.02, 0.04, 0.03), 1.0, "head"),
        ((0.05, 0.02, 0.04, 0.03), 10.0, "zero-shot"),
        ((0.1,), 1.0, "head"),  # one period: the noise is unknown
    ],
)
def test_a_model_takes_the_place_of_a_simpler_one_beyond_noise(gains: tuple[float, ...], margin: float, winner: str):
    found = periods_apart(gains, margin)
    assert found.best().name == winner
    first, second = found.comparisons()
    assert (first.simpler, first.gain, first.better) == (None, None, True)
    assert second.simpler == "zero-shot"
    assert second.gain.mean == pytest.approx(np.mean(gains) / 1.1, abs=0.01)  # of the loss and a tenth
    assert second.better == (winner == "head")


@pytest.mark.parametrize(("shrinkage", "winner"), [(None, "zero-shot"), (Shrinkage(0.5, np.ones(1), {}), "head")])
def test_what_cannot_be_moved_back_to_its_start_has_twice_as_much_to_show(
    shrinkage: Shrinkage | None, winner: str
) -> None:
    gains, margin = (0.05, 0.01, 0.05, -0.01), 1.0
    plain = periods_apart(gains, margin)
    gain = plain.comparisons()[1].gain
    assert gain is not None and gain.error is not None
    assert margin * gain.error < gain.mean < 2 * margin * gain.error
    zero_shot, head = plain
    found = Candidates(replace(DATA, groups=plain.groups), margin)
    found.add("zero-shot", nn.Identity(), zero_shot.losses)
    found.add("head", nn.Identity(), head.losses, shrinkage)
    assert found.best().name == winner
    assert found.comparisons()[1].margin == (margin if shrinkage else 2 * margin)


@pytest.mark.parametrize(("gains", "times"), [((0.05, 0.01, -0.01), 2.0), ((0.05, 0.01, 0.02, -0.01), 1.0)])
def test_an_error_from_three_periods_asks_for_twice_as_much(gains: tuple[float, ...], times: float) -> None:
    plain = periods_apart(gains, 0.5)
    found = Candidates(replace(DATA, groups=plain.groups), 0.5)
    for candidate in plain:
        found.add(candidate.name, nn.Identity(), candidate.losses, Shrinkage(0.5, candidate.losses, {}))
    second = found.comparisons()[1]
    assert second.margin == 0.5 * times
    assert second.gain is not None and second.gain.groups == len(gains)
    assert second.better == (second.gain.mean > second.margin * second.gain.error)


def test_a_gain_in_all_periods_counts_though_one_of_them_is_much_harder_than_the_others() -> None:
    """A fifth less in every period: the plain difference is the work of one period, its error as large as itself."""
    periods = np.arange(len(VALIDATION)) * 4 // len(VALIDATION)
    data = replace(DATA, groups=SampleGroups(periods, np.zeros_like(periods)))
    hard = np.array([1.0, 20.0, 1.0, 1.0])[periods]
    plain = paired_difference(hard, 0.8 * hard, data.known_groups)
    assert plain.mean < 1.5 * plain.error
    found = Candidates(data, margin=4.0)
    found.add("zero-shot", nn.Identity(), hard)
    found.add("head", nn.Identity(), 0.8 * hard)
    assert found.comparisons()[1].better


def test_no_model_takes_the_place_of_another_with_a_lower_mean_loss() -> None:
    periods = np.arange(len(VALIDATION)) * 4 // len(VALIDATION)
    found = Candidates(replace(DATA, groups=SampleGroups(periods, np.zeros_like(periods))))
    found.add("zero-shot", nn.Identity(), np.array([1.0, 1.0, 1.0, 4.0])[periods])
    found.add("head", nn.Identity(), np.array([0.5, 0.5, 0.5, 6.0])[periods])
    assert found.comparisons()[1].gain.mean > 0
    assert not found.comparisons()[1].better


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
    with pytest.raises(InputError, match=r"start='zero-shot' needs a model that .* Use start='best'\."):
        candidates(head=1.0).named("zero-shot")


def test_each_model_is_measured_sample_by_sample() -> None:
    model, found = tiny_forecast_model(), Candidates(DATA)
    found.add("head", model)
    (candidate,) = found
    with torch.no_grad():
        expected = model(**VALIDATION.__getitems__(list(range(len(VALIDATION))))).sample_losses
    np.testing.assert_allclose(candidate.losses, expected, rtol=1e-5)
    assert candidate.validation_loss == pytest.approx(validation_loss(model, VALIDATION, batch_size=7))
