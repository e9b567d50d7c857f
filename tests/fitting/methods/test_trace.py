"""What TRACE scores on: the same windows in batches that the memory target allows."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, PATCH, save_tiny, seasonal_frame, tiny_forecast_model
from tracetune import FitConfig, Forecaster, HeadConfig, InputError, SelectionConfig, Trace, TrainingConfig
from tracetune.data.reading.read import panel_from_frame
from tracetune.data.splits import fit_split
from tracetune.selection.rounds.validation_batches import ScoringBatches
from tracetune.tasks.forecasting.data import forecast_data
from tracetune.tasks.task import TrainingData

PATCHES = CONTEXT // PATCH
SELECTION = SelectionConfig(scoring_batches=2, batch_size=12)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    panel = panel_from_frame(seasonal_frame())
    return forecast_data(panel, fit_split(panel, HORIZON), CONTEXT, HORIZON, 1, 16)


def scoring(data: TrainingData, selection: SelectionConfig = SELECTION, windows: int | None = None) -> Any:
    """The callback of TRACE and the contexts that a round scores on, batch by batch, at most ``windows`` at once."""
    training = TrainingConfig() if windows is None else TrainingConfig(max_tokens=windows * PATCHES)
    (callback,) = Trace(selection).adapt(tiny_forecast_model(), data, training).callbacks
    asked = callback.config.scoring_batches or len(callback.validation)
    batches = ScoringBatches(callback.validation, asked).draw(asked, seed=0)
    return callback, [batch["past_values"] for batch in batches]


def test_a_round_scores_on_windows_from_all_over(data: TrainingData) -> None:
    callback, batches = scoring(data)
    assert callback.config is SELECTION
    assert [len(batch) for batch in batches] == [12, 12]
    windows = data.validation.__getitems__(list(range(len(data.validation))))["past_values"]
    places = [int((windows == window).flatten(1).all(1).nonzero()[0]) for window in torch.cat(batches)]
    borders = np.linspace(0, len(data.validation), 25).astype(int)
    assert (np.searchsorted(borders, places, side="right") - 1).tolist() == list(range(24))


@pytest.mark.parametrize(("windows", "sizes"), [(5, [5, 5, 5, 5, 5]), (12, [12, 12]), (100, [12, 12])])
def test_a_limit_makes_more_and_smaller_batches(data: TrainingData, windows: int, sizes: list[int]) -> None:
    callback, batches = scoring(data, windows=windows)
    assert [len(batch) for batch in batches] == sizes
    assert callback.config.batch_size == sizes[0]


def test_all_windows_are_scored_where_that_is_asked(data: TrainingData) -> None:
    _, batches = scoring(data, replace(SELECTION, scoring_batches=None), 7)
    assert sum(map(len, batches)) == len(data.validation)
    assert max(map(len, batches)) == 7


def test_a_limit_below_one_window_is_refused(data: TrainingData) -> None:
    with pytest.raises(InputError, match="one window has 8 tokens"):
        Trace(SELECTION).adapt(tiny_forecast_model(), data, TrainingConfig(max_tokens=PATCHES - 1))


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_a_whole_fit_takes_the_limit_in_both_phases(tmp_path: Path, cache_bytes: int | None) -> None:
    training = TrainingConfig(max_steps=6, batch_size=16, evaluations=2, max_tokens=5 * PATCHES)
    config = FitConfig(
        method=Trace(replace(SELECTION, keep=5, warmup_steps=2, final_step=4, interval=1)),
        head=HeadConfig("projection", beta=2),
        start="head",
        head_training=training,
        training=training,
        cache_bytes=cache_bytes,
    )
    tuned = Forecaster.from_pretrained(save_tiny(tmp_path), HORIZON, device="cpu").fit(seasonal_frame(), config=config)
    assert tuned.trace is not None
    taken = replace(training, learning_rate=5e-4, epoch_windows="all")  # what was left to the fit
    assert tuned.trace["config"]["training"] == asdict(taken)
    assert tuned.trace["selection"]["config"]["batch_size"] == 5
    for history in tuned.history.values():
        assert history[-1]["step"] == 6
