"""Outputs of `tracetune classify`, for series and for texts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from tracetune.data.table_files import marks_in_words, write_frame
from tracetune.data.text_marks import TextMarks
from tracetune.recipes.settings.classifiers import ClassifyRun
from tracetune.report.pages import where_drawn, write_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_classes(
    table: pd.DataFrame, samples: str, marks: TextMarks, run: ClassifyRun, title: str, draw: Callable[[], "Figure"]
) -> None:
    """Write a table of classes and their probabilities, and the picture where one is asked for; say so.

    Args:
        table: a row a sample.
        samples: what a row is of, such as "series".
        marks: of the table that was read.
        run: where to.
        title: of the picture.
        draw: makes the picture.
    """
    write_frame(table, run.output, marks)
    console = Console(highlight=False, soft_wrap=True)
    written = f"Written to {run.output}{marks_in_words(marks, run.output)}"
    console.print(f"{len(table):,} {samples} classified. {written}.", markup=False)
    if run.plot is not None:
        write_plot(draw(), run.plot, title, {"Classes": table})
        console.print(where_drawn(run.plot), markup=False)
