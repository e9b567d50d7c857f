"""Evaluation of a classifier on the terminal, its scores as a file, and its confusion matrix as a picture or a page."""

from rich.console import Console

from tracetune.data.table_files import write_frame
from tracetune.evaluation.class_evaluation import ClassEvaluation
from tracetune.report.confusion_plot import confusion_figure
from tracetune.report.pages import where_drawn, write_plot
from tracetune.report.tables import frame_rows, print_table

_MOST_PRINTED = 12  # classes up to which the confusion matrix is printed


def print_class_evaluation(found: ClassEvaluation, title: str = "Classification") -> None:
    """Print scores, the report by class and, of few classes, the confusion matrix."""
    print_table(title, frame_rows(found.scores))
    print_table("By class", frame_rows(found.per_class))
    if len(found.confusion) <= _MOST_PRINTED:
        counts = found.confusion.to_dict("index").items()
        rows = [{"true class": str(name), **{str(key): count for key, count in row.items()}} for name, row in counts]
        print_table("True classes in rows, predicted ones in columns", rows)


def report_class_evaluation(found: ClassEvaluation, source: str, output: str | None, plot: str | None) -> None:
    """Print an evaluation on the table ``source``; write its scores and draw its confusion matrix, given files."""
    if output is not None:
        write_frame(found.scores, output)
    print_class_evaluation(found)
    console = Console(highlight=False, soft_wrap=True)
    if output is not None:
        console.print(f"Scores: {output}", markup=False)
    if plot is not None:
        tables = {"Scores": found.scores, "By class": found.per_class}
        write_plot(confusion_figure(found.confusion), plot, f"Classes of {source}: true and predicted", tables)
        console.print(where_drawn(plot), markup=False)
