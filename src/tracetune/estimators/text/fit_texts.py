"""Texts as a fit takes them: read from lists or tables, tokenised, and held out in part.

Shapes: S samples.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np

from tracetune.backbones.text_encoder import TextEncoder
from tracetune.base.errors import Remark, argument
from tracetune.estimators.class_weights import ClassWeights, weights_of_classes
from tracetune.estimators.labelled import Labels, class_numbers, require_classes, require_share
from tracetune.estimators.named_classes import say_not_held_out
from tracetune.estimators.text.seen_texts import say_repeated, text_digests
from tracetune.estimators.text.text_tables import ColumnNames, TextColumns, labelled_texts
from tracetune.estimators.text.texts import TextData, Texts
from tracetune.tasks.labelled_series import split_samples
from tracetune.tasks.task import TrainingData
from tracetune.tasks.text import LabelledTexts, TextClassification

logger = logging.getLogger(__name__)

VALIDATION_SHARE: Final = 0.25
NOUNS: Final = ("text", "texts")


@dataclass(frozen=True)
class FitTexts:
    """Labelled texts as a fit takes them.

    Attributes:
        task: for these classes.
        data: training and validation texts.
        classes: names, in the order of the outputs.
        pairs: whether they are pairs.
        columns: of the table that they come from; None where that was no table.
        cut: how many were too long.
        digests: [S] of all of them, see `text_digests`.
        repeated: how many of the validation texts stand among the training texts.
    """

    task: TextClassification
    data: TrainingData
    classes: list[str]
    pairs: bool
    columns: TextColumns | None
    cut: int
    digests: np.ndarray
    repeated: int


class TextReading(TypedDict, total=False):
    """How texts are read for a fit, see `TextClassifier.fit`."""

    validation_share: float
    text_column: ColumnNames
    label_column: str | None
    class_weights: ClassWeights


def fit_texts(
    encoder: TextEncoder,
    base_name: str,
    max_length: int,
    train: TextData,
    labels: Labels | None,
    seed: int,
    known: Sequence[str] | None,
    *,
    validation_share: float = VALIDATION_SHARE,
    text_column: ColumnNames = None,
    label_column: str | None = None,
    class_weights: ClassWeights = None,
) -> FitTexts:
    """Return labelled texts, tokenised, in training and validation ones.

    Args:
        encoder: whose tokens they become.
        base_name: what it is called.
        max_length: most tokens of a text.
        train: texts, pairs or a table.
        labels: [S] of a list.
        seed: of the choice of validation texts.
        known: classes; None takes those that occur.
        validation_share: as for `TextClassifier.fit`.
        text_column: likewise.
        label_column: likewise.
        class_weights: likewise.

    Raises:
        InputError: unusable data, fewer than two classes, or one that is not known.
    """
    require_share(validation_share)
    texts, given, columns = labelled_texts(train, labels, text_column, label_column)
    numbers, classes = class_numbers(given, len(texts), known, NOUNS)
    require_classes(classes, NOUNS[1])
    samples, cut = tokenized(encoder, max_length, texts, numbers)
    train_rows, validation_rows = split_samples(numbers, validation_share, seed)
    data = TrainingData(samples.by_length(train_rows), samples.by_length(validation_rows))
    weights = weights_of_classes(class_weights, numbers, classes)
    task = TextClassification(len(classes), samples.longest, base_name, weights)
    say_not_held_out(numbers, validation_rows, classes)
    digests = text_digests(texts)
    repeated = int(np.isin(digests[validation_rows], digests[train_rows]).sum())
    say_repeated(repeated, len(validation_rows))
    return FitTexts(task, data, classes, texts.second is not None, columns, cut, digests, repeated)


def tokenized(encoder: TextEncoder, max_length: int, texts: Texts, numbers: np.ndarray) -> tuple[LabelledTexts, int]:
    """Return token numbers of texts whose classes have ``numbers`` [S], and how many were cut, which is said.

    It is said, too, how many of them the tokenizer cannot read.
    """
    named, cut = encoder.tokenize(texts.first, texts.second, max_length)
    if cut:
        limit, are = argument("max_length", max_length), "is" if cut == 1 else "are"
        count = f"{cut:,} of {len(texts):,} texts {are} longer than {limit} tokens"
        logger.warning(Remark(f"{count}: the rest is left out."))
    if unread := encoder.mostly_unknown(named):
        logger.warning(
            "The tokenizer cannot read %s of %s texts: half of their tokens or more stand for anything unknown, as of "
            "a script or of signs that the encoder was not trained on. It cannot tell these apart.",
            f"{unread:,}",
            f"{len(texts):,}",
        )
    return LabelledTexts(named, numbers, encoder.padding), cut
