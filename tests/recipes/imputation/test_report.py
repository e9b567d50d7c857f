"""Tables of what an imputer filled."""

import pandas as pd

from tracetune.recipes.imputation.report import weights_table

COLUMNS = (
    "series",
    "channel",
    "shortest",
    "longest",
    "steps",
    "hidden",
    "zero_shot",
    "seasonal_median",
    "linear",
    "season",
)


def test_weights_are_means_over_channels_by_the_steps_that_were_filled() -> None:
    mixtures = pd.DataFrame(
        [
            ("x", "a", 1, 1, 10, 50, 1.0, 0.0, 0.0, 1),
            ("x", "b", 1, 1, 30, 50, 0.0, 0.6, 0.4, 24),
            ("x", "a", 16, 31, 20, 60, 0.5, 0.5, 0.0, 7),
            ("x", "a", 64, None, 70, 0, 1.0, 0.0, 0.0, 1),
        ],
        columns=list(COLUMNS),
    )
    rows = weights_table(mixtures).to_dict("records")
    assert [row["gaps of"] for row in rows] == ["1 step", "16 to 31 steps", "64 steps or more"]
    assert rows[0] == {
        "gaps of": "1 step",
        "steps filled": 40,
        "steps hidden": 100,
        "zero-shot": 0.25,
        "seasonal median": 0.45,
        "straight line": 0.3,
        "season": "24",
    }
    assert rows[2]["steps hidden"] == 0 and rows[2]["zero-shot"] == 1
    assert weights_table(mixtures[:0]).empty
