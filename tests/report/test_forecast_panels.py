"""From panels and forecast tables to what is drawn."""

import numpy as np

from tests.tiny import HORIZON, seasonal_frame
from tracetune.data.forecast_frame import frame_from_forecasts
from tracetune.data.reading.read import panel_from_frame
from tracetune.report.forecast_panels import forecasts_of, forecasts_to_draw, spread_rows


def test_each_row_has_its_history_forecast_quantiles_and_truth() -> None:
    whole = panel_from_frame(seasonal_frame(items=3))
    past = whole.cut(None, -HORIZON)
    points = [np.full((1, HORIZON), number) for number in range(3)]
    bands = [np.stack([point - 1, point + 1], axis=-1) for point in points]
    table = frame_from_forecasts(past, points, quantiles=bands, quantile_levels=[0.1, 0.9])
    drawn = forecasts_to_draw(past, table, [(2, 0), (0, 0)], truth=whole, notes={(2, 0): "worst"})
    assert [(panel.title, panel.note) for panel in drawn] == [("item2", "worst"), ("item0", "")]
    first = drawn[0]
    assert np.array_equal(first.forecast, np.full(HORIZON, 2.0))
    assert np.array_equal(first.quantiles[0.1], np.full(HORIZON, 1.0))
    assert np.array_equal(first.truth, whole.series[2].values[0, -HORIZON:])
    assert np.array_equal(first.timestamps, whole.series[2].timestamps[-HORIZON:])
    assert first.history[-1] == past.series[2].values[0, -1]


def test_only_what_is_drawn_is_forecast() -> None:
    whole = panel_from_frame(seasonal_frame(items=4))
    seen = []

    def predict(past):  # type: ignore[no-untyped-def]
        seen.append((past.item_ids, past.lengths))
        return frame_from_forecasts(past, [np.zeros((1, HORIZON))] * len(past))

    drawn = forecasts_of(predict, whole, [(3, 0), (1, 0)], HORIZON, {(1, 0): "median"})
    length = whole.lengths[0]
    assert seen == [(("item3", "item1"), (length - HORIZON, length - HORIZON))]
    assert [(panel.title, panel.note) for panel in drawn] == [("item3", ""), ("item1", "median")]
    assert np.array_equal(drawn[1].truth, whole.series[1].values[0, -HORIZON:])


def test_rows_are_spread_over_all() -> None:
    assert spread_rows(2, 1) == [(0, 0), (1, 0)]
    assert spread_rows(1, 3) == [(0, 0), (0, 1), (0, 2)]
    spread = spread_rows(50, 2)
    assert (len(spread), spread[0], spread[-1]) == (6, (0, 0), (49, 1))


def test_times_are_those_of_the_clock_of_the_table() -> None:
    frame = seasonal_frame(items=1)
    clock = frame["timestamp"].to_numpy()
    zoned = frame.assign(timestamp=frame["timestamp"].dt.tz_localize("Asia/Kolkata"))
    whole = panel_from_frame(zoned)
    past = whole.cut(None, -HORIZON)
    assert whole.series[0].timestamps[-1] != clock[-1]
    (drawn,) = forecasts_to_draw(past, frame_from_forecasts(past, [np.zeros((1, HORIZON))]))
    shown = np.concatenate([drawn.history_timestamps, drawn.timestamps])
    assert np.array_equal(shown, clock[-len(shown) :])
