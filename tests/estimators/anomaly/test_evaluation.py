"""Evaluation of series of which some have labels of one kind only."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.panels import Origin, Panel, Series
from tracetune.estimators.anomaly.evaluation import evaluate_scores, left_out
from tracetune.estimators.anomaly.item_scorer import ItemScorer
from tracetune.estimators.anomaly.series_scores import Scores
from tracetune.evaluation.anomaly.volume import volume_under_surface

STEPS = np.arange(60)
ANOMALY = ((STEPS >= 20) & (STEPS < 25)).astype(int)
ALARMS = ((STEPS >= 18) & (STEPS < 24)).astype(float)  # scores above the threshold of 0.5
NONE, ALL = np.zeros(60, dtype=int), np.ones(60, dtype=int)


def panel_of_waves(count: int) -> Panel:
    series = [Series(f"s{number}", STEPS, np.sin(STEPS / 3 + number)[None]) for number in range(count)]
    return Panel(tuple(series), ("value",), None, Origin())


def measured(*labels: np.ndarray) -> pd.DataFrame:
    panel = panel_of_waves(len(labels))
    found = [Scores(series, ALARMS[None], ALARMS, np.full(60, 0.5)) for series in panel]
    items = [cast(ItemScorer, SimpleNamespace(learned=series)) for series in panel]
    table = evaluate_scores(panel, found, labels, 10, items)
    return table[table.scorer == "model"].set_index("item")


def test_series_without_an_anomaly_count_with_their_false_alarms_alone() -> None:
    table = measured(ANOMALY, NONE, ALL)
    alone = measured(ANOMALY, ANOMALY)
    assert table.loc["s0"].equals(alone.loc["s0"])
    assert table["false alarms"].tolist()[:2] == [2 / 55, 6 / 60]
    assert table.loc["s2"].drop(["scorer", "window"]).isna().all()
    others = table.columns.difference(["scorer", "window", "false alarms"])
    assert table.loc["s1", others].isna().all()
    assert table[others].mean().equals(table.loc["s0", others].astype(float))  # means are over those that have both


def test_series_that_are_left_out_are_named() -> None:
    without, never_normal = left_out(panel_of_waves(4), [ANOMALY, NONE, ALL, NONE])
    assert without.startswith("2 of 4 series have no anomaly ('s1', 's3'): of them only false alarms are counted")
    assert never_normal.startswith("1 of 4 series have no normal step ('s2'): nothing of them is counted")
    assert left_out(panel_of_waves(2), [ANOMALY, ANOMALY]) == []


def test_no_series_with_both_kinds_is_refused() -> None:
    with pytest.raises(InputError, match=r"found only normal ones in series 's0', nor both in any of the 1 others"):
        measured(NONE, ALL)


def test_a_window_of_no_steps_is_one() -> None:
    """None is the period, 0 the points themselves; without a period, the usual window is cut to a quarter."""
    wave, line = np.sin(2 * np.pi * STEPS / 12), STEPS / 60
    for values, window, taken in ((wave, 0, 0), (wave, None, 12), (line, None, 15), (line, 0, 0)):
        series = Series("s", STEPS, values[None])
        panel = Panel((series,), ("value",), None, Origin())
        item = cast(ItemScorer, SimpleNamespace(learned=series))
        found = [Scores(series, ALARMS[None], ALARMS, np.full(60, 0.5))]
        table = evaluate_scores(panel, found, [ANOMALY], window, [item])
        assert table["window"].tolist() == [taken, taken]
        assert table["VUS-PR"][0] == volume_under_surface(ALARMS, ANOMALY, taken)[0]
