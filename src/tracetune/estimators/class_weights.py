"""Weights of classes, so that a rare one counts as much as a frequent one.

Shapes: S samples, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tracetune.base.errors import InputError, argument, shown
from tracetune.estimators.labelled import Label, class_name

BALANCED = "balanced"
ClassWeights = Mapping[Label, float] | str | None
"""Weight of each class by name, "balanced", or None for 1."""


def weights_of_classes(wanted: ClassWeights, numbers: np.ndarray, classes: Sequence[str]) -> tuple[float, ...]:
    """Return a weight for each class [K]; balanced ones give each class the same sum.

    Args:
        wanted: see `ClassWeights`.
        numbers: [S] of the classes of all samples.
        classes: [K] names.

    Raises:
        InputError: another word than "balanced", a class without weight or unknown, or a weight that is not positive.
    """
    if wanted is None:
        return (1.0,) * len(classes)
    if isinstance(wanted, str):
        if wanted != BALANCED:
            raise InputError(
                f"Expected {argument('class_weights')} {BALANCED!r} or a weight for each class, found {wanted!r}."
            )
        counts = np.bincount(numbers, minlength=len(classes))
        return tuple((len(numbers) / len(classes) / np.maximum(counts, 1)).tolist())
    if not isinstance(wanted, Mapping):
        raise InputError(
            f"Expected {argument('class_weights')} {BALANCED!r} or a mapping from each class to its weight, found "
            f"{shown(wanted)}."
        )
    found = {class_name(name): weight for name, weight in wanted.items()}
    if set(found) != set(classes):
        raise InputError(
            f"Expected {argument('class_weights')} of the classes {', '.join(classes)}, found {', '.join(found)}."
        )
    weights = tuple(float(found[name]) for name in classes)
    if not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise InputError(f"Expected {argument('class_weights')} above 0, found {wanted}.")
    return weights


def require_weights(weights: Sequence[float], classes: Sequence[str]) -> None:
    """Refuse weights of a record that are not one above 0 for each class.

    Raises:
        InputError: see above.
    """
    if len(weights) != len(classes) or any(weight <= 0 for weight in weights):
        raise InputError(f"Expected a weight above 0 for each class, found {shown(weights)}.")
