"""Imputer: frames of every kind come back filled, in their order; constants, gaps of any place, saving, evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from peft import PeftModel

from tests.estimators.imputation.series import wide
from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import panel_from_frame
from tracetune.estimators.imputation import gap_filler
from tracetune.estimators.imputation.evaluation import hidden_steps
from tracetune.estimators.imputation.filled_frame import read_source
from tracetune.estimators.imputation.imputer import Imputer
from tracetune.estimators.imputation.imputer_data import imputer_data
from tracetune.estimators.imputation.observed import changes, unit_of_errors
from tracetune.fitting.config import FitConfig
from tracetune.training.config import TrainingConfig


@pytest.fixture(scope="module")
def imputer(base_folder: str) -> Imputer:
    return Imputer.from_pretrained(base_folder, device="cpu")


def settings(method: str = "linear_probe") -> FitConfig:
    training = TrainingConfig(max_steps=3, batch_size=8)
    return FitConfig(method=method, head_training=training, training=training)


@pytest.fixture(scope="module")
def fitted(imputer: Imputer) -> Imputer:
    return imputer.fit(wide(2000), settings())


def test_a_wide_frame_comes_back_filled_in_its_order_with_marks(fitted: Imputer) -> None:
    frame = wide(seed=1)
    gappy = frame.copy()
    gappy.loc[100:110, "a"] = np.nan
    gappy.loc[300, "b"] = np.nan
    filled = fitted.impute(gappy, quantile_levels=[0.1, 0.9])
    assert list(filled) == ["date", "a", "b", "a_filled", "a_0.1", "a_0.9", "b_filled", "b_0.1", "b_0.9"]
    assert filled["a_filled"].to_numpy().nonzero()[0].tolist() == list(range(100, 111))
    assert np.array_equal(filled["a"][:100], frame["a"][:100])
    inside = filled.loc[100:110]
    assert (inside["a_0.1"] <= inside["a"]).all() and (inside["a"] <= inside["a_0.9"]).all()
    assert filled["a_0.1"].notna().sum() == 11
    straight = gappy["a"].interpolate()[100:111]
    wrong = [((fill - frame["a"][100:111]) ** 2).mean() for fill in (inside["a"], straight)]
    assert wrong[0] < 0.5 * wrong[1]  # the other channel tells


def test_quantiles_without_a_fit_are_those_of_gaps_that_are_hidden_in_the_table_itself(imputer: Imputer) -> None:
    """Noise around 10 that nothing can foresee: its quantiles are those of its fills."""
    generator = np.random.default_rng(3)
    gappy = pd.DataFrame({"step": range(900), "rough": generator.normal(10, 2, 900), "level": 4.0})
    gappy.loc[generator.choice(900, 60, replace=False), ["rough", "level"]] = np.nan
    gappy.loc[400:419, "rough"] = np.nan
    columns = {"timestamp_column": "step", "target": ["rough", "level"]}
    fills = imputer.fills(gappy, **columns)
    filled = imputer.impute(fills, quantile_levels=[0.1, 0.9])
    width = (filled["rough_0.9"] - filled["rough_0.1"]).dropna()
    assert len(width) == gappy["rough"].isna().sum()
    assert 4.5 < width.mean() < 7.5  # 2 * 1.28 deviations of 2, and what few observed steps add
    assert (filled["level_0.1"].dropna() == 4.0).all() and (filled["level_0.9"].dropna() == 4.0).all()
    assert fills.intervals is fills.intervals  # measured once for table and picture


def test_a_merged_imputer_fills_alike_and_comes_back(imputer: Imputer, tmp_path: Path) -> None:
    tuned = imputer.fit(wide(600), replace(settings("lora"), guard_margin=0.0, shrink="none"))
    assert isinstance(tuned.model, PeftModel)
    gappy = wide(seed=1)
    gappy.loc[100:110, "a"] = np.nan
    merged = tuned.merge()
    assert not isinstance(merged.model, PeftModel)
    pd.testing.assert_frame_equal(merged.impute(gappy), tuned.impute(gappy), atol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    loaded = Imputer.from_pretrained(tmp_path / "merged", device="cpu")
    pd.testing.assert_frame_equal(loaded.impute(gappy), merged.impute(gappy))


def test_every_series_is_filled_once_for_the_table_and_its_picture(
    imputer: Imputer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    inner = gap_filler.filled_series

    def counted(*given: object, wanted: np.ndarray | None, **how: int) -> np.ndarray:
        filled.extend([1] * (wanted is None))  # all gaps, none that is hidden to measure
        return inner(*given, wanted=wanted, **how)

    monkeypatch.setattr(gap_filler, "filled_series", counted)
    frame = wide(200)
    frame.loc[20:25, "a"] = frame.loc[50, "b"] = np.nan
    alone = imputer.impute(frame)
    times = len(filled)  # once a channel with a gap
    fills = imputer.fills(frame)
    pd.testing.assert_frame_equal(imputer.impute(fills), alone)
    imputer.plot(fills, tmp_path / "filled.png")
    assert len(filled) == 2 * times
    imputer.plot(frame, tmp_path / "again.png")
    assert len(filled) == 3 * times


def test_series_without_gaps_are_not_drawn_beside_those_with_some(imputer: Imputer) -> None:
    frame = wide(200)
    assert len(imputer.plot(frame).axes) == 2
    frame.loc[20:25, "b"] = np.nan
    assert [axes.get_title(loc="left") for axes in imputer.plot(frame).axes] == ["b"]


def test_times_without_a_row_get_one(imputer: Imputer) -> None:
    frame = wide(80)[["date", "a"]].assign(site="x")
    frame["date"] = frame["date"].dt.strftime("%d.%m.%Y %H:%M")
    gappy = frame.drop(index=[20, 21, 50])
    filled = imputer.impute(gappy, target="a")
    assert filled["date"].tolist() == frame["date"].tolist()
    assert filled["filled"].to_numpy().nonzero()[0].tolist() == [20, 21, 50]
    assert filled["a"].notna().all()


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "index"])
def test_frames_come_back_as_what_they_were(imputer: Imputer, kind: str) -> None:
    frame = wide(60)[["date", "a"]]
    frame.loc[5, "a"] = np.nan
    if kind == "index":
        found = imputer.impute(frame.set_index("date"))
        assert isinstance(found.index, pd.DatetimeIndex)
        assert found["filled"].sum() == 1
        return
    given = pl.from_pandas(frame)
    given = given.to_arrow() if kind == "pyarrow" else given
    found = imputer.impute(given)
    assert type(found) is type(given)
    assert found["filled"].to_pylist()[5] if kind == "pyarrow" else found["filled"][5]


def test_long_frames_keep_the_order_of_their_rows_and_their_types(imputer: Imputer) -> None:
    days = pd.date_range("2024-01-01", periods=40, freq="D")
    frame = pd.concat([pd.DataFrame({"item_id": item, "timestamp": days, "target": range(40)}) for item in ("b", "a")])
    frame = frame.sort_values("timestamp", kind="stable").reset_index(drop=True)
    frame["target"] = frame["target"].astype("Int64").mask(frame.index == 31)
    filled = imputer.impute(frame, id_column="item_id")
    assert filled[["item_id", "timestamp"]].equals(frame[["item_id", "timestamp"]])
    assert filled["target"].dtype == "Int64"
    assert filled["filled"].to_numpy().nonzero()[0].tolist() == [31]


def test_whole_numbers_stay_whole_and_added_rows_stand_where_they_belong(imputer: Imputer) -> None:
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=40).delete([10, 11]), "n": np.r_[0:10, 12:40]})
    filled = imputer.impute(frame)
    assert filled["n"].dtype == np.int64
    assert filled["t"].tolist() == pd.date_range("2024-01-01", periods=40).tolist()
    turned = imputer.impute(frame[::-1].reset_index(drop=True))
    assert turned["t"].tolist() == filled["t"].tolist()[::-1]
    assert turned["n"].tolist() == filled["n"].tolist()[::-1]


@pytest.mark.parametrize("dtype", ["UInt8", "Int64", "int64[pyarrow]", "uint16[pyarrow]"])
def test_whole_numbers_that_can_be_missing_come_back_as_they_were(imputer: Imputer, dtype: str) -> None:
    numbers = pd.array([100, 120, None, 140, 150, None, 155, 165, None], dtype=dtype)  # None in the last row
    filled = imputer.impute(pd.DataFrame({"t": pd.date_range("2024-01-01", periods=9), "n": numbers}))
    assert filled["n"].dtype == dtype
    assert filled["n"].notna().all()
    assert (filled["n"] == numbers)[pd.notna(numbers)].all()


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "rows are added"])
def test_whole_numbers_are_kept_to_the_last_digit(imputer: Imputer, kind: str) -> None:
    numbers = [2**60 + 7 * row if row % 4 else None for row in range(30)]
    days = pd.date_range("2024-01-01", periods=30)
    table = pl.DataFrame({"t": days.to_numpy(), "n": numbers})
    if kind == "pandas":
        filled = imputer.impute(pd.DataFrame({"t": days, "n": pd.array(numbers, dtype="Int64")}))
    elif kind == "rows are added":
        filled = imputer.impute(
            pd.DataFrame({"t": days, "n": pd.array(numbers, dtype="Int64")}).dropna().astype({"n": int})
        )
    else:
        filled = imputer.impute(table if kind == "polars" else table.to_arrow())
    found = list(filled["n"].to_pylist() if kind == "pyarrow" else filled["n"])
    assert [given for given in numbers if given is not None] == [
        cell for cell, given in zip(found, numbers[-len(found) :], strict=True) if given is not None
    ]


def test_a_table_with_decimal_commas_comes_back_with_one_decimal_mark(
    imputer: Imputer, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rows = [f"{day:02}.01.2024;{'' if day == 9 else f'{day},5'};{day},25;0{day};{day}, {day}" for day in range(1, 29)]
    (tmp_path / "t.csv").write_text("day;x;other;code;note\n" + "\n".join(rows) + "\n")
    filled = imputer.impute(tmp_path / "t.csv", target="x")
    assert filled["x"].dtype == filled["other"].dtype == np.float64
    assert filled["other"].tolist() == [day + 0.25 for day in range(1, 29)]
    assert filled["code"][0] == "01" and filled["note"][0] == "1, 1" and filled["day"][0] == "01.01.2024"
    assert not [each for each in recwarn if "Parsing dates" in str(each.message)]


def test_text_that_is_written_whole_comes_back_whole(imputer: Imputer, tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02},{'' if day == 9 else 40 + day},{'' if day == 9 else day / 4}" for day in range(1, 21)]
    (tmp_path / "t.csv").write_text("day,n,x\n" + "\n".join(rows) + "\n")
    filled = imputer.impute(tmp_path / "t.csv", target=["n", "x"])
    assert filled["n"].dtype == "Int64"
    assert filled["n"].drop(index=8).tolist() == [40 + day for day in range(1, 21) if day != 9]
    assert filled["x"].dtype == np.float64


def test_other_columns_stay_beside_a_channel_without_any_value(imputer: Imputer) -> None:
    frame = wide(60).assign(b=np.nan, note="x")
    frame.loc[5:9, "a"] = np.nan
    filled = imputer.impute(frame, target=["a", "b"])
    assert list(filled) == ["date", "a", "b", "note", "a_filled", "b_filled"]
    assert filled["b"].isna().all()


def test_channels_other_than_those_of_the_fit_are_refused_in_the_words_of_the_interface(fitted: Imputer) -> None:
    frame = wide(100)[["date", "a"]]
    frame.loc[5, "a"] = np.nan
    with pytest.raises(InputError, match="'a', 'b'") as refused:
        fitted.impute(frame, target="a")
    assert "Name them with --target" in refused.value.for_command_line()


def test_an_item_without_values_is_left_in_its_place(imputer: Imputer) -> None:
    days = pd.date_range("2024-01-01", periods=30)
    frame = pd.concat([pd.DataFrame({"item_id": item, "day": days, "x": np.arange(30.0)}) for item in "abc"])
    frame.loc[frame["item_id"] == "b", "x"] = np.nan
    frame = frame.reset_index(drop=True)
    frame.loc[5, "x"] = np.nan
    filled = imputer.impute(frame)
    assert filled[["item_id", "day"]].equals(frame[["item_id", "day"]])
    assert filled["filled"].to_numpy().nonzero()[0].tolist() == [5]
    assert filled.loc[filled["item_id"] == "b", "x"].isna().all()


def test_constants_are_exact_and_items_without_values_are_left(
    imputer: Imputer, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=50), "a": 0.1, "b": np.arange(50.0)})
    frame.loc[10:20, "a"] = np.nan
    frame.loc[:3, "b"] = np.nan  # at the start, and at the end
    frame.loc[45:, "b"] = np.nan
    filled = imputer.impute(frame, target=["a", "b"])
    assert (filled["a"] == 0.1).all()
    assert filled["b"].notna().all()


@pytest.mark.parametrize("length", [7, 3000])
def test_series_of_any_length_are_filled(imputer: Imputer, length: int) -> None:
    frame = wide(length)[["date", "a"]]
    frame.loc[2:4, "a"] = np.nan
    frame.loc[1000:1500, "a"] = np.nan  # longer than a context
    filled = imputer.impute(frame)
    assert np.isfinite(filled["a"]).all()
    observed = frame["a"].dropna()
    assert filled["a"].between(observed.min() - 10, observed.max() + 10).all()


def test_a_channel_that_is_all_missing_is_filled_from_the_others_after_a_fit(fitted: Imputer) -> None:
    frame = wide()
    again = fitted.evaluate(frame, pattern="channels", share=0.5).set_index("method")
    assert again.loc["model", "mse"] < 0.2 * again.loc["linear", "mse"]
    frame["a"] = np.nan
    filled = fitted.impute(frame)
    assert filled["a_filled"].all()
    assert np.corrcoef(filled["a"], wide()["a"])[0, 1] > 0.8
    assert np.abs(filled["a"] - wide()["a"]).mean() < 1.5
    assert set(again.index) >= {"linear", "cubic", "last value", "seasonal median", "best of these per series"}


def test_nothing_below_zero_is_filled_in_where_nothing_is(fitted: Imputer) -> None:
    rng = np.random.default_rng(0)
    frame = wide().assign(a=rng.poisson(0.2, 600).astype(float))  # b goes below 0
    frame["b"] -= frame["b"].mean()
    gappy = frame.copy()
    gappy.loc[1::3, ["a", "b"]] = np.nan
    filled = fitted.impute(gappy, quantile_levels=[0.05, 0.95])
    assert (filled["a"] >= 0).all() and (filled.loc[filled["a_filled"], ["a_0.05", "a_0.95"]] >= 0).all(axis=None)
    assert (filled["a"][filled["a_filled"]] == 0).any()
    assert (filled["b_0.05"] < 0).any()


def test_nothing_beyond_a_ceiling_is_filled_in_nor_are_quantiles(fitted: Imputer) -> None:
    cover = np.clip(50 + 80 * np.sin(2 * np.pi * np.arange(600) / 24), 0, 100)
    gappy = wide().assign(a=cover, b=np.clip(wide()["b"], None, wide()["b"].quantile(0.8)))
    ceiling = gappy["b"].max()
    gappy.loc[100:300, ["a", "b"]] = np.nan
    filled = fitted.impute(gappy, quantile_levels=[0.05, 0.95])
    for name, highest in (("a", 100), ("b", ceiling)):
        found = filled.loc[filled[f"{name}_filled"], [name, f"{name}_0.05", f"{name}_0.95"]]
        assert len(found) == 201 and (found <= highest).all(axis=None)
        assert found[f"{name}_0.95"].max() == highest  # without a bound they would be above


def test_evaluation_measures_what_is_filled_in(imputer: Imputer) -> None:
    counts = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=300), "n": np.arange(300) % 60 == 0})
    table = counts.assign(n=counts["n"] * 100.0)
    found = imputer.evaluate(table, pattern="blocks", share=0.2, seed=1).set_index("method")
    values = table["n"].to_numpy()[None]
    hidden = next(hidden_steps(values, "blocks", 0.2, imputer.context_length, np.random.default_rng([1, 0])))[0]
    filled = imputer.impute(table.mask(np.stack([hidden & False, hidden], axis=1)))["n"]
    errors = (filled - table["n"])[hidden] / values.std()
    assert found.loc["model", "mse"] == pytest.approx((errors**2).mean())
    assert found.loc["model", "hidden"] == hidden.sum()


def test_intervals_are_as_wide_as_the_series_that_is_filled_varies(fitted: Imputer) -> None:
    gappy = wide(seed=4)
    gappy.loc[100:110, ["a", "b"]] = np.nan

    def widths(frame: pd.DataFrame) -> np.ndarray:
        filled = fitted.impute(frame, quantile_levels=[0.1, 0.9])
        return np.array([(filled[f"{name}_0.9"] - filled[f"{name}_0.1"])[105] for name in "ab"])

    larger = gappy.assign(a=gappy["a"] * 1000, b=gappy["b"] * 1000)  # another table, whose one item is called alike
    ratio = widths(larger) / widths(gappy)
    assert (ratio > 190).all() and (ratio < 5100).all()
    assert widths(gappy.assign(a=np.where(gappy["a"].isna(), np.nan, 7.0)))[0] == 0


def test_intervals_of_a_short_part_of_a_walk_are_as_wide_as_those_of_the_walk() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=(4, 3000)), axis=1)
    per_deviation = np.median(changes(walk) / walk.std(axis=1))[None]
    short = walk[:, 1000:1300]
    assert (short.std(axis=1) < 0.7 * walk.std(axis=1)).all()
    of_changes = unit_of_errors(None, short, per_deviation)
    np.testing.assert_allclose(of_changes, np.median(walk.std(axis=1)), rtol=0.3)
    np.testing.assert_allclose(unit_of_errors(np.ones(4) * 20, short, per_deviation), 20)  # known from training
    few = short[:, :20]
    np.testing.assert_allclose(unit_of_errors(None, few, per_deviation), few.std(axis=1))
    np.testing.assert_allclose(changes(1e200 * short), 1e200 * changes(short))


def test_day_and_month_stand_as_they_can_whatever_they_did_in_training() -> None:
    days = pd.date_range("2024-01-01", periods=60).strftime("%m/%d/%Y")
    frame = pd.DataFrame({"day": days, "n": np.arange(60.0) ** 2}).drop(index=[30, 31])
    source = read_source(frame, ReadingOptions(), ReadingOptions(timestamp_column=("day",), day_first=True))
    assert source.panel.lengths == (60,) and source.panel.freq == "D"
    assert any("the only way that they can be" in str(warning) for warning in source.reading.warnings)
    assert source.frame is not None and np.flatnonzero(source.rows[0] < 0).tolist() == [30, 31]


def test_every_channel_is_hidden_once_as_a_whole() -> None:
    values = np.random.default_rng(0).normal(size=(7, 300))
    values[2, 10:20] = np.nan
    drawn = list(hidden_steps(values, "channels", 0.25, 64, np.random.default_rng(1)))
    assert [part.any(axis=1).sum() for part in drawn] == [2, 2, 2, 1]
    assert np.array_equal(np.sum(drawn, axis=0), ~np.isnan(values))
    values[1:] = np.nan
    assert sum(part.sum() for part in hidden_steps(values, "channels", 0.9, 64, np.random.default_rng(1))) == 299


def test_no_more_windows_validate_than_were_asked_for() -> None:
    found = imputer_data("base", 64, panel_from_frame(wide()), FitConfig(validation_windows=6), season=24)
    assert len(found.data.validation) == 6


def test_modules_are_scored_on_batches_in_which_channels_count() -> None:
    config = imputer_data("base", 64, panel_from_frame(wide()), FitConfig(), season=24).config
    assert config.training.batch_size == config.method.selection.batch_size == 32


def test_at_numbered_steps_the_season_is_found_in_the_series() -> None:
    steps = np.arange(400)
    panel = panel_from_frame(pd.DataFrame({"step": steps, "v": np.sin(2 * np.pi * steps / 50)}))
    assert imputer_data("tracetune/tiny", 128, panel, settings(), season=None).task.season == 50


def test_a_saved_imputer_fills_alike(fitted: Imputer, tmp_path: object) -> None:
    fitted.save_pretrained(f"{tmp_path}/saved")
    again = Imputer.from_pretrained(f"{tmp_path}/saved", device="cpu")
    gappy = wide(seed=2).mask(np.random.default_rng(0).random((600, 3)) < [0, 0.2, 0.2])
    pd.testing.assert_frame_equal(fitted.impute(gappy, [0.5]), again.impute(gappy, [0.5]))


def test_a_baseline_that_won_is_saved_as_what_it_is(imputer: Imputer, tmp_path: object) -> None:
    line = imputer.fit(
        wide(), FitConfig(method="linear_probe", guard_margin=1e9, head_training=TrainingConfig(max_steps=1))
    )
    assert line.trace["winner"] == "linear"
    line.save_pretrained(f"{tmp_path}/line")
    again = Imputer.from_pretrained(f"{tmp_path}/line", device="cpu")
    gappy = wide(seed=3)
    gappy.loc[40:50, "a"] = np.nan
    assert np.allclose(again.impute(gappy)["a"], gappy["a"].interpolate(), atol=1e-5)


def test_what_cannot_be_done_is_refused_in_words(imputer: Imputer, fitted: Imputer) -> None:
    with pytest.raises(InputError, match="channels of the fit"):
        gappy = wide().rename(columns={"b": "c"})
        gappy.loc[3, "a"] = np.nan
        fitted.impute(gappy, target=["a", "c"])
    with pytest.raises(InputError, match="context_length of at least 1, found 0"):
        Imputer.from_pretrained(imputer.base_name, 0)
    with pytest.raises(InputError, match="pattern"):
        fitted.evaluate(wide(), pattern="dots")
    with pytest.raises(InputError, match=r"found 2, of which the pattern 'points' with share=0\.25 hides none"):
        imputer.evaluate(wide().head(1), freq="h")
