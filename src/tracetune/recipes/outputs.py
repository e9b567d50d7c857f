"""Files that a command is to write, checked before the work; tables of series get times as their source has them."""

from collections.abc import Sequence

import pandas as pd
from rich.console import Console

from tracetune.base.files import require_distinct
from tracetune.data.panels import Origin
from tracetune.data.table_files import require_table_path, write_frame
from tracetune.data.time_text import written_times
from tracetune.report.pages import require_plot_path


def check_outputs(
    tables: Sequence[str | None], plot: str | None, inputs: Sequence[str | None], *, overwrite: bool
) -> None:
    """Refuse outputs that could not be written, or would replace what is read; None is no output.

    Raises:
        InputError: another suffix than those of tables and pictures, a file that is there already, or one path twice.
    """
    for path in tables:
        if path is not None:
            require_table_path(path, overwrite)
    if plot is not None:
        require_plot_path(plot, overwrite)
    require_distinct((*tables, plot), inputs)


def write_series(
    frame: pd.DataFrame, path: str, origin: Origin, *, times: Sequence[str] | None = None, quiet: bool = False
) -> None:
    """Write a table of series with times and marks as the table that they come from; see `with_times_as_in`."""
    write_frame(with_times_as_in(origin, frame, path, times=times, quiet=quiet), path, origin.marks)


def with_times_as_in(
    origin: Origin, frame: pd.DataFrame, path: str, *, times: Sequence[str] | None = None, quiet: bool = False
) -> pd.DataFrame:
    """Return a table with times as text in the form of its source, where that and the file have text.

    Where the form is not known, or cannot say all times, they stay as they are, and that is printed.

    Args:
        origin: of the series.
        frame: the table.
        path: where it is to be written.
        times: its columns of times; None takes all that hold some.
        quiet: whether it was printed before.
    """
    dated = [str(name) for name in frame.select_dtypes(["datetime", "datetimetz"]).columns]
    times = dated if times is None else [name for name in dated if name in times]
    if origin.time_form == "" or not times or path.lower().endswith(".parquet"):  # which has a type for times
        return frame
    written = {
        name: None if origin.time_form is None else written_times(frame[name], origin.time_form) for name in times
    }
    if any(column is None for column in written.values()):
        if not quiet:
            first = frame[times[0]].dropna().astype(str).head(1).tolist()
            like = f", as {first[0]}" if first else ""
            said = (
                f"Times are written year first{like}: those of {origin.timestamp_column} have a form that is not kept."
            )
            Console(highlight=False, soft_wrap=True).print(said, markup=False)
        return frame
    return frame.assign(**written)
