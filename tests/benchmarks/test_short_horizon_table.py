"""The table of short series: errors as the competitions define them, means over data sets without gaps."""

import numpy as np
import pytest

from benchmarks import short_horizon_table as table


def cell(dataset: str, method: str, smape: float, mase: float) -> dict:
    return {"dataset": dataset, "method": method, "smape": smape, "mase": mase, "seconds": 1.0}


def test_owa_is_relative_to_naive2_of_the_same_series_and_the_mean_over_training_seeds() -> None:
    cells = [
        cell("m3_yearly", "naive2", 20.0, 4.0),
        cell("m3_yearly", "AutoETS", 10.0, 3.0),
        cell("m1_yearly", "naive2", 10.0, 2.0),
        cell("m1_yearly", "AutoETS", 9.0, 1.0),
        cell("m4_hourly", "naive2", 10.0, 2.0),
        cell("m4_hourly", "TRACE", 8.0, 1.6),
        cell("m4_hourly", "TRACE", 6.0, 1.2),
    ]
    rows = table.table(cells, "owa")
    assert [row["data set"] for row in rows] == ["m1_yearly", "m3_yearly", "m4_hourly"]
    assert rows[0]["AutoETS"] == pytest.approx((0.9 + 0.5) / 2)
    assert rows[1]["AutoETS"] == pytest.approx((0.5 + 0.75) / 2)
    assert rows[2] == {"data set": "m4_hourly", "naive2": 1.0, "TRACE": pytest.approx(0.7)}
    assert table.with_deviations(cells, "owa")[2] == {
        "data set": "m4_hourly",
        "naive2": "1.000",
        "TRACE": "0.7000 ± 0.14",
    }


def test_methods_stand_beside_the_better_classic_one_of_each_data_set() -> None:
    rows = [
        {"data set": "a", "naive2": 1.0, "AutoETS": 0.5, "AutoTheta": 0.8, "zero-shot": 0.6},
        {"data set": "b", "naive2": 1.0, "AutoETS": 0.9, "AutoTheta": 0.8, "zero-shot": 0.4},
        {"data set": "c", "naive2": 1.0, "AutoTheta": 0.8, "zero-shot": 0.1},
    ]
    found = {row["method"]: row for row in table.beside_the_better_classic(rows)}
    assert found["zero-shot"] == {
        "method": "zero-shot",
        "relative OWA": pytest.approx((1.2 + 0.5) / 2),
        "data sets": 2,
        "ahead": 1,
    }
    assert found["AutoETS"]["relative OWA"] == pytest.approx((1 + 0.9 / 0.8) / 2)


def test_what_was_chosen_is_a_row_a_method_over_its_seeds() -> None:
    reading = {"resolutions": [2, 4], "trend": 0.5, "season": 1}
    zero_shot = {**cell("m1_yearly", "zero-shot, resolution", 9.0, 1.0), **reading}
    tuned = {**cell("m1_yearly", "TRACE", 9.0, 1.0), **reading, "winner": "trace", "trained_parameters": 1200}
    plain = {**cell("m1_yearly", "zero-shot", 9.0, 1.0), "resolutions": [1], "trend": 0.0, "season": 1}
    again = {**tuned, "winner": "head", "trained_parameters": 300}
    assert [
        (row["method"], row["winners"], row["trained parameters"])
        for row in table.chosen([plain, zero_shot, tuned, again])
    ] == [
        ("zero-shot, resolution", "", ""),
        ("TRACE", "trace, head", "1,200, 300"),
    ]


def test_errors_are_those_of_the_competition() -> None:
    past, truth = np.array([1.0, 2.0, 4.0, 7.0]), np.array([[8.0, 6.0]])
    forecast = np.array([[7.0, 7.0]])
    found = table.errors([past], truth, forecast, season=1)
    assert found["smape"] == pytest.approx(np.mean([200 * 1 / 15, 200 * 1 / 13]))
    assert found["mase"] == pytest.approx(1.0 / np.mean([1.0, 2.0, 3.0]))
