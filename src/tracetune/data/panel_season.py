"""The season of a panel: of its frequency, or found in its values."""

from tracetune.data.examination import seasons
from tracetune.data.frequency import seasonality
from tracetune.data.panels import Panel


def panel_season(panel: Panel) -> int:
    """Return the steps of a season: that of the frequency, or at numbered steps that after which series repeat."""
    if panel.freq is not None:
        return seasonality(panel.freq)
    return next((lag for lag, _ in seasons([series.values for series in panel], most=1)), 1)
