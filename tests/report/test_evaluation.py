"""A backtest in words."""

import numpy as np
import pandas as pd
import pytest

from tests.tiny import seasonal_frame
from tracetune.data.reading.read import panel_from_frame
from tracetune.evaluation.backtest import Evaluation
from tracetune.report.evaluation import coverage_lines, print_evaluation, rows_to_draw, verdict, without_the_largest


def found(model: float = 0.5) -> Evaluation:
    names = ["model", "repeat last", "seasonal naive (24)"]
    errors = {"mse": 1.0, "mae": 0.9, "wape": 0.1, "smape": 9.0, "relative_bias": 0.0, "windows": 6}
    scaled = dict(zip(names, (model, 2.0, 1.0), strict=True))
    overall = pd.DataFrame([{"forecaster": name, **errors, "mase": mase} for name, mase in scaled.items()])
    items = pd.DataFrame(
        [
            {"item_id": f"item{number}", "target_name": "target", "forecaster": name, "windows": 2}
            | {"mae": 1.0, "rmse": 1.0, "mase": mase, "wape": 0.1, "smape": 9.0, "bias": 0.0, "relative_bias": 0.0}
            for number, mase in enumerate([0.7, np.nan, 0.3, 0.5])
            for name in names
        ]
    )
    moments = pd.Timestamp("2024-01-01")
    coverage = pd.DataFrame(
        [(0.8, period, moments, moments, share, 10) for period, share in (("all", 0.75), ("1", 0.7), ("2", 0.81))],
        columns=["level", "period", "start", "end", "coverage", "steps"],
    )
    return Evaluation(overall, items, coverage)


def test_the_verdict_compares_with_the_best_naive_forecast() -> None:
    assert verdict(found().overall) == (
        "The model has mase 0.5, the best naive forecast (seasonal naive (24)) 1: 50% less."
    )
    behind = verdict(found(1.2).overall, "Fine-tune.")
    assert behind.startswith("A naive forecast does at least as well: seasonal naive (24)")
    assert behind.endswith(" Fine-tune.") and "Fine-tune" not in verdict(found().overall, "Fine-tune.")


def errors_of(*mases: tuple[float, float]) -> pd.DataFrame:
    rows = [
        {"shop": f"item{number}", "target_name": "sales", "forecaster": name, "mase": mase}
        for number, pair in enumerate(mases)
        for name, mase in zip(("model", "repeat last"), pair, strict=True)
    ]
    return pd.DataFrame(rows)


def test_one_item_that_breaks_does_not_hide_the_others() -> None:
    (said,) = without_the_largest(errors_of((0.5, 1.0), (1e6, 9e5), (0.7, 1.4), (np.nan, np.nan)))
    assert said == (
        "item1 makes up 100% of a mean mase. "
        "Without it the model has mase 0.6, the best naive forecast (repeat last) 1.2: 50% less."
    )
    (said,) = without_the_largest(errors_of((0.5, 0.4), (9.0, 9.0), (0.7, 0.6)))
    assert "Without it" not in said and "repeat last has mase 0.5, without it the model 0.6." in said


@pytest.mark.parametrize("mases", [[(1.0, 1.0), (9.0, 9.0)], [(1.0, 1.0), (2.0, 2.0), (1.0, 1.5)]])
def test_of_items_that_are_alike_or_only_two_none_is_left_out(mases: list[tuple[float, float]]) -> None:
    assert without_the_largest(errors_of(*mases)) == []


def test_coverage_is_said_with_its_span() -> None:
    assert coverage_lines(found().coverage) == ["The 80% interval held 75% of the truth (70% to 81% by period)."]
    assert coverage_lines(pd.DataFrame()) == []


def test_a_span_of_nothing_is_not_said() -> None:
    alike = found().coverage.assign(coverage=0.75)
    assert coverage_lines(alike) == ["The 80% interval held 75% of the truth."]
    assert coverage_lines(alike[:1]) == ["The 80% interval held 75% of the truth."]


def test_one_forecast_is_not_several(capsys: pytest.CaptureFixture[str]) -> None:
    one = found()
    one.overall["windows"] = 1
    print_evaluation(one)
    assert "All items, 1 forecast by each forecaster" in capsys.readouterr().out


def test_the_worst_items_and_the_median_one_are_drawn() -> None:
    panel = panel_from_frame(seasonal_frame(items=4))
    assert rows_to_draw(found(), panel) == {
        (0, 0): "worst, mase 0.7",
        (3, 0): "worst, mase 0.5",
        (2, 0): "worst, mase 0.3",
    }


def test_a_single_item_is_not_called_the_worst() -> None:
    panel, one = panel_from_frame(seasonal_frame(items=1)), found()
    alone = Evaluation(one.overall, one.items[one.items["item_id"] == "item0"], one.coverage)
    assert rows_to_draw(alone, panel) == {(0, 0): "mase 0.7"}


def test_all_of_it_is_printed(capsys: pytest.CaptureFixture) -> None:
    print_evaluation(found(), "items.csv", "a.png")
    printed = " ".join(capsys.readouterr().out.split())
    for part in ("seasonal naive (24)", "Largest errors of the model", "item0", "80% interval", "items.csv", "a.png"):
        assert part in printed
