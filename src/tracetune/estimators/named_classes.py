"""Classes that a classifier never names, though samples of them are there, or is never measured on.

Shapes: S samples, K classes.
"""

import logging
from collections.abc import Sequence

import numpy as np

from tracetune.base.errors import Remark, argument
from tracetune.base.json_types import JsonObject
from tracetune.estimators.class_weights import BALANCED

logger = logging.getLogger(__name__)

_MOST = 10  # that are listed


def classes_never_named(outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Return the classes that occur and are the most probable one of no sample, frequent ones first.

    Args:
        outputs: [S, K] probabilities or logits.
        labels: [S] numbers of the true classes.
        classes: [K] names.
    """
    counts = np.bincount(labels, minlength=len(classes))
    named = set(outputs.argmax(axis=1).tolist())
    return [classes[number] for number in np.argsort(-counts, kind="stable") if counts[number] and number not in named]


def never_named_sentence(never: Sequence[str], classes: Sequence[str], subject: str = "It") -> str:
    """Return in a sentence which classes are never named; empty where each one that occurs is."""
    if not never:
        return ""
    if len(never) == len(classes) - 1:
        (always,) = set(classes) - set(never)
        return f"{subject} names class {always!r} whatever it is given: it tells no classes apart."
    more = f" and {len(never) - _MOST} more" if len(never) > _MOST else ""
    noun = "class" if len(never) == 1 else "classes"
    return f"{subject} never names {noun} {', '.join(map(repr, never[:_MOST]))}{more}."


def never_named_on_validation(trace: JsonObject) -> str:
    """Return in words for a card which classes the record of a fit says are never named, with a space behind."""
    said = never_named_sentence(trace["never_named"], trace["classes"], "On held-out samples it")
    return f"{said} " if said else ""


def say_never_named(outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str], samples: str) -> None:
    """Log which classes are never named among ``samples``, in words; see `classes_never_named`."""
    if never := classes_never_named(outputs, labels, classes):
        logger.warning("%s", never_named_sentence(never, classes, f"On {samples} the model"))


def say_not_held_out(labels: np.ndarray, held_out: np.ndarray, classes: Sequence[str]) -> None:
    """Log which classes have no sample among those that are held out, because they have too few.

    Args:
        labels: [S] numbers of the classes of all samples.
        held_out: rows of the samples that are held out.
        classes: [K] names.
    """
    if missing := sorted(set(labels.tolist()) - set(labels[held_out].tolist())):
        more = f" and {len(missing) - _MOST} more" if len(missing) > _MOST else ""
        names = ", ".join(repr(classes[number]) for number in missing[:_MOST])
        logger.warning("Too few samples to hold one out: validation says nothing of class %s%s.", names, more)


def say_never_named_in_fit(trace: JsonObject, samples: str) -> None:
    """Log what the record of a fit says of classes that are never named, and what may help."""
    never, classes = trace["never_named"], trace["classes"]
    equal = len(set(trace["class_weights"])) == 1
    weights = f"give rare classes more weight ({argument('class_weights', BALANCED)}), " if equal else ""
    if never:
        said = never_named_sentence(never, classes, f"On {samples} the model")
        logger.warning(Remark(f"{said} What may help: {weights}train longer, or on more samples."))
