"""Tables, plots and model cards."""

from tracetune.report.importance_plots import Panel, plot_history, plot_importance
from tracetune.report.plots import plot_forecast, plot_training
from tracetune.report.tables import format_value, markdown_table, print_table, write_rows

__all__ = [
    "Panel",
    "format_value",
    "markdown_table",
    "plot_forecast",
    "plot_history",
    "plot_importance",
    "plot_training",
    "print_table",
    "write_rows",
]
