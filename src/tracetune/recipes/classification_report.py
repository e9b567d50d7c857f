"""Scores of a classifier on the terminal."""

from tracetune.estimators.classification.evaluation import ClassEvaluation
from tracetune.report.tables import frame_rows, print_table


def print_evaluation(found: ClassEvaluation) -> None:
    """Print scores, the report by class and, of few classes, the confusion matrix."""
    print_table("Classification", frame_rows(found.scores))
    print_table("By class", frame_rows(found.per_class))
    if len(found.confusion) <= 12:
        counts = found.confusion.to_dict("index").items()
        rows = [{"true class": str(name), **{str(key): count for key, count in row.items()}} for name, row in counts]
        print_table("True classes in rows, predicted ones in columns", rows)
