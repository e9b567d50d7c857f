"""The simulated table of the benchmark of long series, and its tables of results."""

import numpy as np
from benchmarks.long_series import simulated_load, summary

from tracetune.data.examination import autocorrelation


def test_the_simulated_load_repeats_after_a_day() -> None:
    load = simulated_load(4000)
    assert load.shape == (1, 4000)
    np.testing.assert_array_equal(load, simulated_load(4000))
    curve = autocorrelation(load[0])
    assert curve is not None
    assert abs(int(curve[48:144].argmax()) + 48 - 96) <= 1


def row(epoch_windows: int, head_windows: int, **losses: float) -> dict[str, object]:
    return {
        "set": "simulated",
        "seed": 0,
        "windows": 500,
        "epoch_windows": epoch_windows,
        "head_windows": head_windows,
        "losses": losses,
        "winner": "head",
        "steps": [3, 7],
        "test": {"mse": 0.25},
    }


def test_fits_are_ordered_by_the_windows_of_an_epoch_and_heads_stand_apart() -> None:
    fitted = {"zero-shot": 1.0, "head": 0.9, "trace": 0.8}
    text = summary([row(0, 0, **fitted), row(200, 0, **fitted), row(0, 50, **{"zero-shot": 1.0, "head": 0.9})])
    fits, heads = text.split("## Heads alone")
    assert fits.startswith("## simulated, 500 windows")
    assert fits.index("| 200 ") < fits.index("| all ")
    assert "-20.0%" in fits
    assert "| 50 " in heads
