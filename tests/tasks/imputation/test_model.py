"""Imputation: what is hidden, what zero-shot does, the head, and a fit of every kind through the one fit."""

import numpy as np
import pytest
import torch

from tests.tiny import CONTEXT, tiny_backbone
from tracetune.adapters.lora import LoraOptions, add_lora
from tracetune.base.errors import InputError
from tracetune.data.panels import Panel, Series
from tracetune.data.splits import fit_split
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.methods import Trace
from tracetune.selection.config import SelectionConfig
from tracetune.selection.estimates.row_independence import rows_independent
from tracetune.selection.gates import Gates
from tracetune.selection.validation import model_loss
from tracetune.tasks.imputation import model as imputation
from tracetune.tasks.imputation.data import (
    fit_scalers,
    imputation_data,
    related_channels,
    scaled_values,
)
from tracetune.tasks.imputation.gaps import ONE_SIDED, SHORT_ONE_SIDED, gap_classes
from tracetune.tasks.imputation.masked_windows import MaskedWindows, Place
from tracetune.tasks.imputation.model import LINE, Imputation, ImputationModel
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run


def panel(length: int = 400, channels: int = 2, items: int = 1, seed: int = 0) -> Panel:
    """A season of 12 steps in every channel, and a walk that the channels share."""
    rng = np.random.default_rng(seed)
    steps = np.arange(length)
    series = []
    for item in range(items):
        walk = np.cumsum(rng.normal(size=length)) / 4
        rows = [
            np.sin(2 * np.pi * steps / 12 + item) + walk * (1 + k) + 0.05 * rng.normal(size=length)
            for k in range(channels)
        ]
        series.append(Series(f"item{item}", steps, np.stack(rows)))
    return Panel(tuple(series), tuple(f"c{k}" for k in range(channels)), None)


def data_of(known: Panel, **options: object) -> tuple[Imputation, TrainingData]:
    split = fit_split(known, 16)
    scalers = fit_scalers(known, split)
    related = related_channels(scaled_values(known, scalers), split.train, 4)
    data = imputation_data(known, split, CONTEXT, scalers=scalers, **options)
    return Imputation(len(known.channels), CONTEXT, 12, related), data


def fitted(method: object = "linear_probe", **config: object) -> Fitted:
    task, data = data_of(panel(1200), train_windows=60, validation_windows=60)
    training = TrainingConfig(max_steps=4, batch_size=8)
    head_training = TrainingConfig(max_steps=4, batch_size=8)
    settings = FitConfig(method=method, head_training=head_training, training=training, **config)
    with Run.at(None, "cpu", ()) as run:
        return fit(task, tiny_backbone(), data, settings, run)


def test_windows_hide_only_what_they_may_and_show_nothing_of_it() -> None:
    known = panel(length=300)
    values = [series.values.astype(np.float32) for series in known]
    windows = MaskedWindows(values, [Place(0, 200, 180), Place(0, 40, 0)], CONTEXT)
    batch = windows.__getitems__([0, 1])
    hidden, shown = batch["target_mask"] > 0, batch["input_mask"] > 0
    assert not (hidden & shown).any()
    assert not hidden[0, :, : CONTEXT - 20].any()
    assert torch.equal(batch["target_values"][0][hidden[0]], torch.tensor(values[0][:, 136:200])[hidden[0]])
    assert not batch["values"][hidden].any()
    assert batch["step_mask"][1].sum() == 40
    again = windows.__getitems__([1])
    assert torch.equal(again["target_mask"][0], batch["target_mask"][1])


def test_windows_of_a_fit_hide_first_and_last_steps_short_and_long_runs_of_them() -> None:
    values = scaled_values(known := panel(length=400), fit_scalers(known, fit_split(known, 16)))
    windows = MaskedWindows(values, [Place(0, 100 + number, 0) for number in range(200)], CONTEXT)
    batch = windows.__getitems__(list(range(200)))
    lengths = gap_classes(batch["input_mask"] > 0)[0]
    hidden = batch["target_mask"] > 0
    for kind in (SHORT_ONE_SIDED, ONE_SIDED):
        assert (hidden & (lengths == kind))[4::5].flatten(1).any(1).sum() >= 10  # of 40 windows
    ends = hidden[4::5]
    assert (ends[..., 0] | ends[..., -1]).all() and not (ends[..., 0] & ends[..., -1]).any()
    assert not ends[..., CONTEXT // 2 - 1 : CONTEXT // 2 + 1].any()  # at most half of a window at one end


def test_training_windows_see_no_validation_step() -> None:
    known = panel(length=300)
    split = fit_split(known, 16)
    data = imputation_data(known, split, CONTEXT)
    assert all(place.stop <= split.train[0].stop for place in data.train.places)
    assert all(place.start >= split.validation[0].start for place in data.validation.places)
    assert len(np.unique(data.groups.periods)) > 1


def test_a_series_of_seven_steps_trains_and_validates() -> None:
    known = panel(length=7, channels=1)
    data = imputation_data(known, fit_split(known, 1), CONTEXT)
    assert len(data.train) and len(data.validation)
    empty = Panel((Series("a", np.arange(7), np.full((1, 7), np.nan)),), ("c0",), None)
    with pytest.raises(InputError, match="two observed values"):
        imputation_data(empty, fit_split(empty, 1), CONTEXT)


def test_zero_shot_meets_the_ends_of_gaps_and_ignores_what_is_hidden() -> None:
    model = Imputation(1, CONTEXT).zero_shot(tiny_backbone())
    values = torch.randn(2, 1, CONTEXT)
    observed = torch.ones_like(values)
    observed[..., 20:23] = 0
    observed[..., 40:60] = 0
    filled = model(values, observed).filled
    again = model(torch.where(observed > 0, values, torch.nan), observed).filled
    assert torch.allclose(filled, again)
    assert torch.allclose(filled[observed > 0], values[observed > 0], atol=1e-5)


def test_a_head_starts_as_zero_shot() -> None:
    task, data = data_of(panel(), train_windows=8)
    backbone = tiny_backbone()
    batch = data.train.__getitems__([0, 1, 2, 3])
    zero_shot, model = task.zero_shot(backbone), task.model(backbone, task.default_head)
    assert torch.allclose(zero_shot(**batch).sample_losses, model(**batch).sample_losses)
    assert torch.allclose(
        model(**batch).sample_losses,
        model.loss(model.head(model.features(batch)["tokens"]), model.features(batch)).sample_losses,
    )


def test_the_solved_head_uses_the_other_channel() -> None:
    found = fitted()
    losses = {row["name"]: row["validation_loss"] for row in found.record.candidates}
    assert list(losses) == ["linear", "seasonal median", "zero-shot", "head"]
    assert found.record.winner == "head"
    assert losses["head"] < 0.5 * min(losses[name] for name in ("linear", "seasonal median", "zero-shot"))


def test_nothing_trains_on_from_a_baseline() -> None:
    found = fitted("lora", guard_margin=1e6)
    assert found.record.winner == LINE
    model = found.model.get_base_model()
    assert isinstance(model, ImputationModel)
    assert model.rule == LINE


@pytest.mark.parametrize(("method", "start"), [("lora", "best"), ("full", "zero-shot"), ("trace", "zero-shot")])
def test_methods_train_through_what_the_backbone_rebuilds(method: str, start: str) -> None:
    chosen = (
        Trace(SelectionConfig(keep=3, final_step=3, scoring_batches=1, cost_share=1.0)) if method == "trace" else method
    )
    found = fitted(chosen, start=start)
    assert [row["name"] for row in found.record.candidates][-1] == method


def test_channels_without_a_gap_are_not_encoded_where_nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = data_of(panel(channels=3))
    model = task.model(tiny_backbone(), task.default_head).eval()
    values = torch.randn(4, 3, task.context_length)
    observed = torch.ones_like(values)
    observed[:, 1, 10:20] = 0
    encoded: list[int] = []
    inner = model.backbone.encode
    monkeypatch.setattr(model.backbone, "encode", lambda *given: encoded.append(given[0].shape[1]) or inner(*given))
    with torch.no_grad():
        filled = model(values, observed).filled
        assert encoded == [2]  # one channel, on two grids of patches
        model(values, torch.ones_like(values))
        assert encoded == [2]
    whole = model(values, observed).filled
    assert encoded == [2, 6]
    assert torch.allclose(filled[:, 1, 10:20], whole[:, 1, 10:20], atol=1e-5)


@pytest.mark.parametrize("most_tokens", [None, 100])
def test_windows_keep_to_themselves_so_that_each_has_gates_of_its_own(
    most_tokens: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, data = data_of(panel(channels=3), train_windows=16)
    batch = data.train.__getitems__(list(range(16)))
    model = add_lora(task.model(tiny_backbone(), task.default_head), LoraOptions()).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        whole = model(**batch).sample_losses
    if most_tokens is not None:  # fewer than a channel of all windows has: one after the other
        monkeypatch.setattr(imputation, "_MOST_TOKENS", most_tokens)
    with torch.no_grad():
        assert torch.allclose(model(**batch).sample_losses, whole, atol=1e-6)
    assert rows_independent(Gates(model), batch, model_loss)
