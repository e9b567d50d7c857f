"""Windows with their neighbours: which are near, which are unlike, and which part validates."""

import numpy as np
import pytest
import torch

from tests.tiny import tiny_backbone
from tracetune.base.errors import InputError
from tracetune.data.digest import data_digest
from tracetune.tasks.anomaly.neighbouring_windows import Neighbourhoods, NeighbouringWindows, neighbouring_data
from tracetune.tasks.anomaly.scores.features import RawShape
from tracetune.tasks.anomaly.window_embeddings import NEGATIVES, VIEWS, resampled
from tracetune.tasks.task import TrainingData

PERIOD, WIDTH, BORDER = 40, 32, 600


def season(length: int = 800, seed: int = 0) -> np.ndarray:
    noise = 0.02 * np.random.default_rng(seed).normal(size=length)
    return np.sin(2 * np.pi * np.arange(length) / PERIOD) + noise


def made(*channels: np.ndarray, widths: tuple[int, ...] = (WIDTH,), border: int = BORDER) -> TrainingData:
    backbone = tiny_backbone()
    return neighbouring_data(
        [np.stack(channels)], [border], lambda row: widths, lambda windows: resampled(windows, backbone), None, 0
    )


def only(source: object) -> Neighbourhoods:
    (found,) = getattr(source, "dataset", source).members
    return found


def test_neighbours_are_near_and_negatives_far_and_unlike() -> None:
    values = season()
    found = only(made(values).train)
    anchor, neighbour, repetition = found.starts[:, :3].T
    assert (np.abs(neighbour - anchor) <= WIDTH // 8).all() and (neighbour != anchor).all()
    phase = (repetition - anchor + PERIOD // 2) % PERIOD - PERIOD // 2
    assert np.abs(phase).max() <= 2  # the windows before the border begin at most a stride apart
    assert (np.abs(repetition - anchor) >= WIDTH).all() and found.pull[:, 1].min() > 0.7
    shapes = RawShape()(np.lib.stride_tricks.sliding_window_view(values, WIDTH)).numpy()
    away = np.linalg.norm(shapes[anchor][:, None] - shapes[found.starts[:, 2:]], axis=-1)
    assert (away[:, 1:] > 3 * away[:, :1]).all()
    negatives = found.starts[:, 3:]
    assert negatives.shape[1] == NEGATIVES and (np.abs(negatives - anchor[:, None]) >= WIDTH).all()


def test_what_is_held_out_is_compared_with_what_trains() -> None:
    data = made(season(), season(seed=1))
    train, held_out = data.train, data.validation.dataset
    for each in train.members:
        assert each.starts.min() >= 0 and each.starts.max() + WIDTH <= BORDER
    for each in held_out.members:
        assert each.starts[:, :2].min() >= BORDER and each.starts[:, 2:].max() + WIDTH <= BORDER
    groups = data.known_groups
    assert len(groups.periods) == len(data.validation)
    assert np.unique(groups.periods).tolist() == [0, 1, 2, 3] and np.unique(groups.items).tolist() == [0, 1]


def test_level_and_scale_change_no_choice() -> None:
    plain, moved = only(made(season()).train), only(made(1000 * season() - 7).train)
    np.testing.assert_array_equal(moved.starts, plain.starts)
    np.testing.assert_allclose(moved.pull, plain.pull, atol=1e-4)


def test_batches_hold_the_windows_of_their_rows_at_every_visit() -> None:
    values = season()
    source = made(values, widths=(16, WIDTH)).train
    assert isinstance(source, NeighbouringWindows)
    rows = [len(source) - 1, 0, 3]
    batch = source.__getitems__(rows)
    assert batch["views"].shape == (3, VIEWS, 16) and batch["pull"].shape == (3, 2)
    for place, row in enumerate(rows):
        for name, entry in source.__getitems__([row]).items():
            torch.testing.assert_close(batch[name][place], entry[0])
    last = source.members[-1]
    window = values[last.starts[-1, 0] :][: last.width]
    expected = resampled(torch.as_tensor(window, dtype=torch.float32)[None], tiny_backbone())[0]
    torch.testing.assert_close(batch["views"][0, 0], expected)
    assert data_digest(made(values, widths=(16, WIDTH)).train) == data_digest(source)


def test_windows_with_gaps_take_no_part() -> None:
    values = season()
    values[200:260] = np.nan
    for source in (made(values).train, made(values).validation):
        starts = only(source).starts
        assert not ((starts > 200 - WIDTH + 8) & (starts < 260 - 8)).any()


def test_where_there_are_no_neighbours_it_is_said() -> None:
    for values, border in ((season(200), 150), (np.ones(800), BORDER), (np.full(800, np.nan), BORDER)):
        with pytest.raises(InputError, match="windows have neighbours") as error:
            made(values, widths=(64,), border=border)
    assert "found 800 steps" in str(error.value) and "--loss reconstruction" in error.value.for_command_line()
