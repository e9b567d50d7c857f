"""Series to draw with what was filled in: those with most gaps, with their intervals and what was hidden.

Shapes: C channels, L steps of a series.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tracetune.data.forecast_frame import shown_times
from tracetune.data.panels import Panel
from tracetune.estimators.imputation.filled_series import FilledSeries
from tracetune.estimators.imputation.gap_intervals import GapIntervals
from tracetune.estimators.imputation.observed import within_bounds
from tracetune.report.fill_plots import FilledPanel

_LEVELS = (0.1, 0.9)
_MOST = 6


def series_to_draw(
    panel: Panel,
    of_series: Callable[[int], FilledSeries],
    intervals: GapIntervals,
    whole: Sequence[np.ndarray] | None = None,
) -> list[FilledPanel]:
    """Return at most six series, those with most gaps, with the 80 % interval.

    Series without any gap are among them only where no series has one.

    Args:
        panel: series with gaps.
        of_series: from the number of a series to what fills it.
        intervals: of the model that fills them.
        whole: values [C, L] of each series before steps were hidden; None where nothing was.
    """
    every = [(int(np.isnan(row).sum()), s, c) for s, series in enumerate(panel) for c, row in enumerate(series.values)]
    gaps = [each for each in every if each[0]] or every
    drawn = []
    for _, number, channel in sorted(gaps, key=lambda each: (-each[0], *each[1:]))[:_MOST]:
        series = panel.series[number]
        found = of_series(number)
        offsets = intervals.offsets(series.values[channel][None], _LEVELS)[0] * found.units[channel]
        levels = found.filled[channel][:, None] + offsets
        low, high = within_bounds(levels[None], series.values[channel][None])[0].T
        drawn.append(
            FilledPanel(
                title=" · ".join([series.item_id] * (len(panel) > 1) + [panel.channels[channel]]),
                timestamps=shown_times(panel, series.timestamps),
                values=series.values[channel],
                filled=found.filled[channel],
                low=low,
                high=high,
                whole=None if whole is None else whole[number][channel],
            )
        )
    return drawn
