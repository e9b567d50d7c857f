"""The guard finds out, without labels, which of two models finds anomalies; and what it measures is exact."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.tiny import tiny_backbone
from tracetune.backbones.backbone import Backbone, Encoded
from tracetune.backbones.normalisation import normalise
from tracetune.base.errors import InputError
from tracetune.estimators.anomaly.planted_guard import LARGEST_WINDOW, Case, HeldOut, PlantedGuard, planted_guard
from tracetune.evaluation.anomaly.volume import volume_under_surface
from tracetune.fitting.candidates import Candidates
from tracetune.fitting.shrinkage import shrink
from tracetune.tasks.anomaly.hidden_patches import normal_data
from tracetune.tasks.anomaly.model import AnomalyModel
from tracetune.tasks.anomaly.scores import Neighbours, Reconstruction, Scorer, Windows
from tracetune.tasks.anomaly.scores.scorer import NormalChannel
from tracetune.tasks.task import TrainingData

BORDER = 600


class Sight(Backbone):
    """Sees the shape of a series as far as its ``share`` goes; the rest of what it puts out is noise."""

    context_length, width = 64, 8

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))
        self.encoded = 0  # windows

    def encode(self, values: Tensor, input_mask: Tensor | None = None, patch_mask: Tensor | None = None) -> Encoded:
        self.encoded += len(values)
        shapes, statistics = normalise(values, torch.ones_like(values).bool())
        noise = torch.randn(shapes.shape, generator=torch.Generator().manual_seed(len(values)))
        return Encoded((self.share * shapes + (1 - self.share) * noise).unflatten(-1, (-1, self.width)), statistics)

    def num_patches(self, context_length: int) -> int:
        return context_length // self.width

    def adapted_layers(self) -> list[str]:
        return []


def model(share: float) -> AnomalyModel:
    return AnomalyModel(Sight(share), None, 64)


def season(length: int = 840) -> np.ndarray:
    """Sawteeth of many heights at many levels: neither says anything, only the shape repeats."""
    random = np.random.default_rng(0)
    teeth = np.arange(length) // 40
    heights, levels = random.uniform(1, 5, teeth[-1] + 1), random.uniform(-9, 9, teeth[-1] + 1)
    noise = 0.01 * random.normal(size=length)
    return heights[teeth] * ((np.arange(length) % 40 / 40) ** 2 + noise) + levels[teeth]


def guard_of(*series: np.ndarray, scorer: Scorer | None = None, border: int = BORDER) -> PlantedGuard:
    found = planted_guard(series, [border] * len(series), scorer or Neighbours((20, 40)), 0.0, model(1.0), 0)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def guard() -> PlantedGuard:
    return guard_of(season()[None])


def competing(guard: PlantedGuard) -> Candidates:
    values = [season()[None].astype(np.float32)]
    plain = normal_data(values, 64, 8, None, 0)
    return Candidates(TrainingData(plain.train, plain.validation, plain.groups, guard))


@pytest.mark.parametrize(("before", "after", "winner"), [(1.0, 0.0, "zero-shot"), (0.0, 1.0, "lora")])
def test_a_tuned_model_comes_out_only_if_it_helps(
    guard: PlantedGuard, before: float, after: float, winner: str
) -> None:
    found = competing(guard)
    found.add("zero-shot", model(before))
    found.add("lora", model(after))
    assert found.best().name == winner
    losses = {each.name: each.validation_loss for each in found}
    assert losses[winner] < 0.5 * max(losses.values())


def test_a_model_is_moved_back_to_where_it_finds_most(guard: PlantedGuard) -> None:
    """Training went from full sight to none: next to nothing of it is kept."""
    moved = model(1.0)

    def go_to(factor: float) -> None:
        moved.backbone.share.data.fill_(1.0 - factor)

    found = shrink(go_to, lambda: guard.losses(moved), guard.groups)
    assert found.factor < 0.25 and found.losses.mean() <= found.tried[0.0] < 0.5 * found.tried[1.0]
    assert moved.backbone.share.item() == pytest.approx(1 - found.factor)


def test_a_scorer_that_does_not_read_the_model_sees_no_difference() -> None:
    guard = guard_of(season()[None], scorer=Windows((20, 40)))
    np.testing.assert_array_equal(guard.losses(model(1.0)), guard.losses(model(0.0)))


def test_losses_are_those_of_whole_series_scored_anew(guard: PlantedGuard) -> None:
    scorer = guard.scorer.fit(NormalChannel(season()[:BORDER]), model(1.0))
    losses = guard.losses(model(1.0))
    assert len(losses) == 16
    for case, loss in zip(guard.cases, losses, strict=True):
        assert BORDER <= case.start < case.stop <= 840
        scores = scorer.score(case.values, 0)[BORDER:]
        steps = np.arange(BORDER, 840)
        labels = ((steps >= case.start) & (steps < case.stop)).astype(int)
        volume, _ = volume_under_surface(scores, labels, min(guard.channels[0].longest, LARGEST_WINDOW))
        assert loss == pytest.approx(1 - volume, abs=1e-6)


def encoded_by(guard: PlantedGuard, of: AnomalyModel) -> int:
    """Return how many windows are encoded to measure a model."""
    before = of.backbone.encoded
    guard.losses(of)
    return of.backbone.encoded - before


def test_only_windows_that_a_planted_anomaly_touches_are_encoded_again() -> None:
    guard = guard_of(season()[None])
    seeing = model(1.0)
    scorer = guard.scorer.fit(NormalChannel(season()[:BORDER]), seeing)
    learning = seeing.backbone.encoded
    scorer.score(season(), 0)
    whole = seeing.backbone.encoded - learning
    touching = sum((case.stop - case.start + width) // (width // 8) + 2 for case in guard.cases for width in (20, 40))
    assert encoded_by(guard, model(1.0)) <= 1 + learning + whole + touching


def test_what_shows_that_a_channel_can_be_learned_is_not_learned_again() -> None:
    of, scorer = model(1.0), Neighbours((20, 40))
    guard = planted_guard([season()[None]], [BORDER], scorer, 0.0, of, 0)
    assert guard is not None
    learning = of.backbone.encoded - 1  # and the channel as one window
    anew = PlantedGuard(guard.channels, guard.cases, scorer, 0.0)
    assert encoded_by(guard, of) == encoded_by(anew, of) - learning
    np.testing.assert_array_equal(guard.losses(of), anew.losses(of))


@pytest.mark.parametrize(("scorer", "measured"), [(Windows(), 1), (Neighbours(), 2), (Reconstruction(), 4)])
def test_models_that_a_scorer_cannot_tell_apart_are_measured_once(
    monkeypatch: pytest.MonkeyPatch, scorer: Scorer, measured: int
) -> None:
    """Two backbones with two heads each: nothing of them counts, or how they embed windows, or all."""
    channel = HeldOut(season(), BORDER, 40)
    guard = PlantedGuard([channel], [Case(0, 0, 700, 720, season())], scorer, 0.0)
    shares: list[float] = []
    monkeypatch.setattr(
        PlantedGuard,
        "_measured",
        lambda _, of, learned: shares.append(of.backbone.share.item()) or np.array(shares[-1:]),
    )
    for share in (1.0, 0.5):
        for _ in range(2):
            of = model(share)
            of.head = nn.Linear(8, 8)
            losses = guard.losses(of)
            assert losses.tolist() == [share if measured > 1 else 1.0]
            losses[:] = 9  # what is handed out is no part of what is known
    assert len(shares) == measured


def test_cases_are_spread_over_periods_and_channels() -> None:
    one = guard_of(season()[None]).groups
    assert np.bincount(one.periods).tolist() == [4, 4, 4, 4] and set(one.items) == {0}
    many = guard_of(*(season() + place for place in np.zeros((3, 4, 1)))).groups
    assert np.bincount(many.periods).tolist() == [4, 4, 4, 4] and set(many.items) == {0, 1, 2, 3}


def test_a_model_that_has_diverged_has_no_finite_loss(guard: PlantedGuard) -> None:
    assert np.isinf(guard.losses(model(float("nan")))).all()


def test_there_is_no_guard_where_there_is_no_room_for_it() -> None:
    assert planted_guard([season(40)[None]], [30], Neighbours((8,)), 0.0, model(1.0), 0) is None
    assert planted_guard([np.ones((1, 840))], [BORDER], Neighbours((20,)), 0.0, model(1.0), 0) is not None
    wide = Neighbours((400,))  # two windows fit all of the series, not what is before the border
    assert planted_guard([season()[None]], [BORDER], wide, 0.0, model(1.0), 0) is None
    with pytest.raises(InputError, match="two windows of 500"):
        planted_guard([season()[None]], [BORDER], Neighbours((500,)), 0.0, model(1.0), 0)


def test_what_is_planted_is_fixed_by_the_seed_and_known_to_the_run() -> None:
    values = season()[None]
    first, again, other = (
        planted_guard([values], [BORDER], Neighbours((20,)), 0.0, AnomalyModel(tiny_backbone(), None, 64), seed)
        for seed in (0, 0, 1)
    )
    assert first is not None and again is not None and other is not None
    assert first.identity == again.identity != other.identity
