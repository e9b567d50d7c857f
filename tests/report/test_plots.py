import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tracetune.base.errors import InputError
from tracetune.report.plots import plot_forecast, plot_training

HISTORY_COLOUR, FORECAST_COLOUR = "#8a8f98", "#0b6bcb"
DATES = pd.date_range("2024-03-01", periods=40, freq="D")
VALUES = np.sin(np.arange(40.0) / 3)


def texts(path):
    """Texts of an SVG that matplotlib wrote; it notes each one in a comment."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", path.read_text())]


def lines(path, colour):
    """The paths of an SVG that are drawn in a colour."""
    return re.findall(rf'<path d="([^"]*)"[^>]*stroke: {colour}', path.read_text())


def test_a_forecast_is_drawn_with_truth_intervals_and_legend(tmp_path):
    quantiles = {0.9: VALUES[30:] + 1, 0.1: VALUES[30:] - 1, 0.5: VALUES[30:], 0.25: VALUES[30:], 0.75: VALUES[30:]}
    path = tmp_path / "forecast.svg"
    plot_forecast(
        path,
        DATES[:30],
        VALUES[:30],
        DATES[30:],
        VALUES[30:],
        truth=VALUES[30:],
        quantiles=quantiles,
        title="Two series & one title",
    )
    found = texts(path)
    assert "Two series &amp; one title" in found
    assert [text for text in found if text in ("history", "80 % interval", "50 % interval", "forecast", "truth")] == [
        "history",
        "80 % interval",
        "50 % interval",
        "forecast",
        "truth",
    ]
    assert any("2024" in text for text in found)  # dates, not numbers of days


def test_steps_may_be_numbers_and_truth_and_intervals_absent(tmp_path):
    path = tmp_path / "forecast.svg"
    plot_forecast(path, np.arange(30), VALUES[:30], np.arange(30, 40), VALUES[30:])
    found = texts(path)
    assert {"history", "forecast", "20"} <= set(found)
    assert "truth" not in found
    assert not any("interval" in text for text in found)


def test_missing_values_leave_a_gap_in_the_line(tmp_path):
    pieces = []
    for name, missing in (("whole.svg", []), ("gap.svg", [10, 11, 12])):
        values = VALUES[:30].copy()
        values[missing] = np.nan
        plot_forecast(tmp_path / name, DATES[:30], values, DATES[30:], VALUES[30:])
        pieces.append(max(line.count("M") for line in lines(tmp_path / name, HISTORY_COLOUR)))
    assert pieces == [1, 2]


def test_a_single_step_is_drawn_as_a_point(tmp_path):
    plot_forecast(tmp_path / "one.svg", DATES[:30], VALUES[:30], DATES[30:31], VALUES[30:31])
    assert re.search(rf"<use [^>]*stroke: {FORECAST_COLOUR}", (tmp_path / "one.svg").read_text())


def test_the_suffix_decides_the_format(tmp_path):
    path = tmp_path / "new folder" / "forecast.png"
    plot_forecast(path, DATES[:30], VALUES[:30], DATES[30:], VALUES[30:])
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height > 600


@pytest.mark.parametrize("changed", ["history", "forecast", "truth"])
def test_values_that_do_not_fit_their_timestamps_are_refused_and_nothing_is_written(tmp_path, changed):
    values = {"history": VALUES[:30], "forecast": VALUES[30:], "truth": VALUES[30:]}
    values[changed] = VALUES[:5]
    with pytest.raises(InputError, match=rf"Expected {changed} of \d+ steps, found shape \[5\]"):
        plot_forecast(
            tmp_path / "a.png", DATES[:30], values["history"], DATES[30:], values["forecast"], truth=values["truth"]
        )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        plot_training(tmp_path / "training.xyz", [{"loss": 1.0, "step": 1}])
    assert list(tmp_path.iterdir()) == []


def log(training, validation):
    entries = [{"loss": loss, "step": 10 * i, "learning_rate": 1e-3} for i, loss in enumerate(training, 1)]
    entries += [{"eval_loss": loss, "step": 20 * i, "epoch": i} for i, loss in enumerate(validation, 1)]
    return [*entries, {"train_runtime": 1.0, "train_loss": 0.5, "step": 10 * len(training)}]


def test_training_shows_both_losses_and_the_best_validation(tmp_path):
    plot_training(tmp_path / "t.svg", log([1.0, 0.9, 0.8, 0.7, 0.65, 0.6], [0.9, float("nan"), 0.75]))
    assert {"training", "validation", "best: 0.75 at step 60"} <= set(texts(tmp_path / "t.svg"))


def test_losses_over_more_than_a_decade_get_a_logarithmic_axis(tmp_path):
    plot_training(tmp_path / "linear.svg", log([1.0, 0.5], [0.9]))
    plot_training(tmp_path / "logarithmic.svg", log([100.0, 0.1], [0.9]))
    assert not any("10^" in text for text in texts(tmp_path / "linear.svg"))
    assert any("10^" in text for text in texts(tmp_path / "logarithmic.svg"))


def test_a_run_without_validation_or_without_any_loss_is_drawn_too(tmp_path):
    plot_training(tmp_path / "a.svg", log([1.0, 0.5], []))
    assert "training" in texts(tmp_path / "a.svg")
    assert "validation" not in texts(tmp_path / "a.svg")
    plot_training(tmp_path / "b.svg", log([], []))
    assert not {"training", "validation"} & set(texts(tmp_path / "b.svg"))
