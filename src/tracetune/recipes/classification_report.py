"""Scores of a classifier on the terminal."""

from tracetune.estimators.classification.evaluation import ClassEvaluation
from tracetune.report.tables import print_table


def print_evaluation(found: ClassEvaluation) -> None:
    """Print scores, the report by class and, of few classes, the confusion matrix."""
    print_table("Classification", found.scores.to_dict("records"))  # type: ignore[arg-type]
    print_table("By class", found.per_class.to_dict("records"))  # type: ignore[arg-type]
    if len(found.confusion) <= 12:
        counts = found.confusion.to_dict("index").items()
        rows = [{"true class": str(name), **{str(key): count for key, count in row.items()}} for name, row in counts]
        print_table("True classes in rows, predicted ones in columns", rows)
