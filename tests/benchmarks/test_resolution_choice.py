"""Cases with known seasons, and the summary of what each way of reading is worth."""

import numpy as np
from benchmarks.resolution_choice import simulated, summary


def test_a_simulated_series_repeats_after_its_period() -> None:
    for sine in (False, True):
        case = simulated(7, 1000, sine=sine)
        centred = case.values - case.values.mean(axis=1, keepdims=True)
        assert case.values.shape == (8, 1000)
        shapes = centred[:, :994].reshape(8, 142, 7).mean(axis=1)
        np.testing.assert_allclose(shapes.std(axis=1), 3, atol=0.4)
    assert (case.horizon, case.test_length) == (14, 70)
    assert [len(series) for series in case.panel(-70)] == [930] * 8


def test_the_summary_counts_what_pays() -> None:
    row = {"period": 7, "H": 14, "as they are": 2.0, "season out": 1.0, "resolution": 2.0, "seasonal naive": 1.0}
    made = [row | {"series": "steps, 120 steps", "auto": 0.5}, row | {"series": "ETTh1, 500 steps", "auto": 2.2}]
    lines = [line for line in summary(made).splitlines() if " auto " in line and "|" in line][:2]
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "simulated",
        "auto",
        "0.2500",
        "1 of 1",
        "0",
        "0.2500",
    ]
    assert [cell.strip() for cell in lines[1].split("|")[1:-1]] == ["real", "auto", "1.100", "0 of 1", "1", "1.100"]
