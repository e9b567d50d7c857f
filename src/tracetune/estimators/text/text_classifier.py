"""TextClassifier: load, fit, predict, evaluate, save."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.text_encoder import TextEncoder
from tracetune.backbones.text_encoder_loading import load_text_encoder
from tracetune.base.errors import InputError, argument
from tracetune.base.json_types import JsonObject
from tracetune.data.forecast_frame import free_name, of_kind
from tracetune.data.reading.frames import kind_of
from tracetune.data.reading.sources import Frame, FrameOfKind
from tracetune.estimators.backbone_estimator import BackboneEstimator, load_on_backbone
from tracetune.estimators.class_logits import class_logits
from tracetune.estimators.class_weights import ClassWeights
from tracetune.estimators.labelled import Labels, class_numbers
from tracetune.estimators.named_classes import say_never_named, say_never_named_in_fit
from tracetune.estimators.scored_modules import ScoredModules, scored
from tracetune.estimators.text.card import text_classifier_card
from tracetune.estimators.text.evaluation import text_scores
from tracetune.estimators.text.fit import fit_text_classifier, text_fit_config
from tracetune.estimators.text.fit_texts import NOUNS, VALIDATION_SHARE, FitTexts, TextReading, fit_texts, tokenized
from tracetune.estimators.text.record import TextClassifierRecord
from tracetune.estimators.text.seen_texts import say_seen, text_digests
from tracetune.estimators.text.text_tables import (
    ColumnNames,
    TextColumns,
    columns_as_in_fit,
    labelled_texts,
    refuse_columns,
    required_table,
    table_of,
    texts_of_frame,
)
from tracetune.estimators.text.texts import Text, TextData, Texts, checked_texts
from tracetune.evaluation.class_evaluation import ClassEvaluation
from tracetune.fitting.config import PERIODS, FitConfig, refuse_unread, with_method
from tracetune.fitting.methods.lora import Lora
from tracetune.fitting.methods.method import Method
from tracetune.fitting.trained import History
from tracetune.tasks.text import LabelledTexts, TextClassification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH_SIZE = 64
_SEEN = "seen_texts"  # their digests, beside a saved model


class TextClassifier(BackboneEstimator[TextEncoder, TextClassifierRecord]):
    """A model that tells which class a text, or a pair of texts, belongs to.

    ``fit`` returns a new object and leaves this one as it is. Any encoder of transformers will do that takes token
    numbers and an attention mask; its own classification head, if it has one, is left out. Texts longer than
    ``max_length`` tokens are cut, and a line in the log says how many were.

    >>> from transformers import BertConfig, BertModel, BertTokenizer
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "story"]
    >>> tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> base = TextClassifier(TextEncoder(BertModel(config), tokenizer), "my own", device="cpu")  # or from_pretrained
    >>> texts = ["good film", "bad film", "good story", "bad story"] * 10
    >>> tuned = base.fit(texts, ["yes", "no"] * 20, method="linear_probe")
    >>> tuned.classify(["good film", "bad film"]).tolist()
    ['yes', 'no']
    """

    noun = "classifier"
    unfitted = "an encoder, which knows no classes"
    task_name = TextClassification.name
    record_class = TextClassifierRecord
    _card = staticmethod(text_classifier_card)

    def __init__(
        self,
        backbone: TextEncoder,
        base_name: str,
        max_length: int | None = None,
        *,
        model: nn.Module | None = None,
        trace: JsonObject | None = None,
        history: Mapping[str, History] | None = None,
        seen: np.ndarray | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(backbone, base_name, model=model, trace=trace, history=history, device=device)
        self._seen = np.zeros(0, dtype=np.uint64) if seen is None else seen
        self.max_length = _checked_length(max_length, backbone, base_name)

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes, in the order of the probabilities.

        Raises:
            InputError: nothing was fitted yet.
        """
        return self._fitted_record().classes

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        max_length: int | None = None,
        *,
        layers: int | None = None,
        base: str | None = None,
        device: str | torch.device = "auto",
    ) -> "TextClassifier":
        """Load a text encoder of transformers, or a text classifier that was saved.

        Args:
            name_or_folder: a Hugging Face hub id, a folder with an encoder and its tokenizer, or a folder written by
                `save_pretrained`.
            max_length: most tokens of a text; None takes what the encoder allows. A saved classifier knows its own.
            layers: how many of the first layers of the encoder to take, and to read the last of; None takes all. A
                saved classifier knows its own.
            base: for a saved classifier, where its encoder is now, if not under its recorded name.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, more layers than it has, or an encoder other than the one that was
                fine-tuned.
        """
        loaded = load_on_backbone(
            name_or_folder,
            TextClassification.name,
            TextClassifierRecord,
            base,
            partial(load_text_encoder, layers=layers),
            max_length=max_length,
            layers=layers,
        )
        length = loaded.record.max_length if loaded.record else max_length
        return cls(
            loaded.backbone,
            loaded.base_name,
            length,
            model=loaded.model,
            trace=loaded.trace,
            seen=loaded.arrays.get(_SEEN),
            device=device,
        )

    def fit(
        self,
        train: TextData,
        labels: Labels | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        validation_share: float = VALIDATION_SHARE,
        text_column: ColumnNames = None,
        label_column: str | None = None,
        class_weights: ClassWeights = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> "TextClassifier":
        """Fine-tune on labelled texts.

        Args:
            train: texts, pairs of texts, or a table (pandas, polars, pyarrow) with texts and labels.
            labels: [S] texts or numbers; of a table they are in a column.
            config: how to fine-tune; None takes `text_fit_config` of the method.
            method: what to train; the default is TRACE from a head that logistic regression has solved.
            validation_share: share of each class that chooses the model and does not train.
            text_column: of a table: the column of the texts, two for pairs; None looks for it, and says what it found.
            label_column: of a table: the column of the labels; likewise.
            class_weights: weight of each class by name, "balanced" for the same sum in each, or None.
            callbacks: Trainer callbacks, e.g. a progress bar.

        Returns:
            A new classifier: the better of head alone and fine-tuned, on validation.

        Raises:
            InputError: unusable data, fewer than two classes, or this classifier is fine-tuned already.
        """
        self._refuse_second_fit()
        config = text_fit_config(method or "trace") if config is None else with_method(config, method)
        found = self._fit_texts(
            train,
            labels,
            config.training.seed,
            validation_share=validation_share,
            text_column=text_column,
            label_column=label_column,
            class_weights=class_weights,
        )
        parts, device = (self.backbone, self.base_name, self.max_length), str(self.device)
        fitted, trace = fit_text_classifier(*parts, found, config, device, callbacks)
        say_never_named_in_fit(trace, f"{len(found.data.validation)} texts that were held out")
        history, seen = fitted.record.history, np.unique(found.digests)
        return TextClassifier(*parts, model=fitted.model, trace=trace, history=history, seen=seen, device=device)

    def predict(self, texts: Iterable[Text], *, batch_size: int = _BATCH_SIZE) -> np.ndarray:
        """Return the probability of every class, [S, K], for texts, or for pairs if it was fitted on pairs.

        Raises:
            InputError: nothing was fitted yet, or something else than what it was fitted on.
        """
        return self._predict(checked_texts(texts, self._fitted_record().pairs), batch_size)

    def classify(self, texts: Iterable[Text], *, batch_size: int = _BATCH_SIZE) -> np.ndarray:
        """Return the name of the most probable class of each text, [S]."""
        return np.array(self.classes)[self.predict(texts, batch_size=batch_size).argmax(axis=1)]

    def predict_df(self, df: Frame, *, text_column: ColumnNames = None, batch_size: int = _BATCH_SIZE) -> FrameOfKind:
        """Classify the rows of a table.

        Args:
            df: pandas, polars or pyarrow, with the columns of the fit.
            text_column: where the texts are; None takes the columns of the fit, if it had some, or looks for them.
            batch_size: texts per forward pass.

        Returns:
            The table with its other columns, such as ids, ``predictions`` (the most probable class), and the
            probability of each class under its name; of the kind that went in, rows under the index that they had.
        """
        frame = required_table(df)
        columns = self._columns(frame, text_column, None, labelled=False)
        texts, _ = texts_of_frame(frame, columns, self._fitted_record().pairs)
        probabilities = self._predict(texts, batch_size)
        table = frame.reset_index(drop=True)
        table[free_name("predictions", list(map(str, table)))] = np.array(self.classes)[probabilities.argmax(axis=1)]
        taken = set(table.columns)
        names = [f"probability of {name}" if name in taken else name for name in self.classes]
        found = pd.concat([table, pd.DataFrame(probabilities, columns=names)], axis=1)
        if isinstance(df, pd.DataFrame) and len(frame.columns) == len(df.columns):
            found = found.set_axis(df.index, axis=0)  # which is no column of the table
        return of_kind(found, kind_of(df))

    def evaluate(
        self,
        test: TextData,
        labels: Labels | None = None,
        *,
        text_column: ColumnNames = None,
        label_column: str | None = None,
        batch_size: int = _BATCH_SIZE,
    ) -> ClassEvaluation:
        """Measure on labelled texts, beside always naming the most frequent class of them.

        Returns:
            The scores of every classifier, and two that benchmarks of texts report: F1, of two classes that of the
            second one, of more the mean over those that occur or are named; Matthews correlation.

        Raises:
            InputError: unusable data, or a class that the fit did not know.
        """
        known = self._fitted_record()
        if (frame := table_of(test)) is not None:
            columns = self._columns(frame, text_column, label_column, labelled=True)
            text_column, label_column = columns.texts, columns.label
        texts, given, _ = labelled_texts(test, labels, text_column, label_column, known.pairs)
        numbers, _ = class_numbers(given, len(texts), known.classes, NOUNS)
        samples, _ = tokenized(self.backbone, self.max_length, texts, numbers)
        probabilities = self._probabilities(samples, batch_size)
        say_never_named(probabilities, numbers, known.classes, f"{len(texts)} texts")
        say_seen(np.isin(text_digests(texts), self._seen), probabilities.argmax(axis=1) == numbers)
        return ClassEvaluation.of(probabilities, numbers, known.classes, text_scores)

    def plot(
        self,
        texts: TextData,
        path: str | Path | None = None,
        *,
        text_column: ColumnNames = None,
        probabilities: np.ndarray | None = None,
    ) -> "Figure":
        """Draw texts with the probabilities of their classes; at most six, those it is least sure of.

        Args:
            texts: texts, pairs of texts, or a table.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            text_column: of a table, as for `predict_df`.
            probabilities: [S, K], where they are known already.

        Returns:
            The picture; notebooks show it.
        """
        from tracetune.report.class_plots import least_sure  # with matplotlib, which only pictures need
        from tracetune.report.text_plots import TextPanel, text_figure

        frame, pairs = table_of(texts), self._fitted_record().pairs
        if frame is None:
            refuse_columns(text_column)
            given = checked_texts(cast(Iterable[Text], texts), pairs)  # what is no table
        else:
            columns = self._columns(frame, text_column, None, labelled=False, said=probabilities is None)
            given, _ = texts_of_frame(frame, columns, pairs)
        found = self._predict(given, _BATCH_SIZE) if probabilities is None else probabilities
        panels = [TextPanel(given.row(row), self.classes, found[row]) for row in least_sure(found)]
        return text_figure(panels, path)

    def scored_modules(
        self, data: Any, labels: Any = None, config: FitConfig | None = None, **reading: Any
    ) -> ScoredModules:
        """Return the modules that `module_importance` scores, and on which part of the data."""
        config = text_fit_config(Lora()) if config is None else config
        refuse_unread(config, "texts, of which a share of each class is held out", *PERIODS)
        found = self._fit_texts(data, labels, config.training.seed, **reading)
        return scored(self, found.task, self.backbone, self.model, found.data, config)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {_SEEN: self._seen}

    def _fit_texts(self, train: TextData, labels: Labels | None, seed: int, **reading: Unpack[TextReading]) -> FitTexts:
        """Return labelled texts as a fit takes them; they have known classes where something was fitted."""
        known = None if self.record is None else self.record.classes
        return fit_texts(self.backbone, self.base_name, self.max_length, train, labels, seed, known, **reading)

    def _columns(
        self, frame: pd.DataFrame, text: ColumnNames, label: str | None, *, labelled: bool, said: bool = True
    ) -> TextColumns:
        known = self._fitted_record()
        return columns_as_in_fit(
            frame, text, label, known.text_columns, known.label_column, labelled=labelled, said=said
        )

    def _predict(self, texts: Texts, batch_size: int) -> np.ndarray:
        samples, _ = tokenized(self.backbone, self.max_length, texts, np.zeros(len(texts), dtype=np.int64))
        return self._probabilities(samples, batch_size)

    def _probabilities(self, samples: LabelledTexts, batch_size: int) -> np.ndarray:
        """Return probabilities [S, K]; texts of about the same length share a batch."""
        rows = samples.order()
        ordered = samples.by_length(np.arange(len(samples)))
        logits = class_logits(self._fitted_model(), ordered, device=str(self.device), batch_size=batch_size)
        probabilities = np.empty_like(logits)
        probabilities[rows] = softmax(logits, axis=1)
        return probabilities


def _checked_length(max_length: int | None, backbone: TextEncoder, name: str) -> int:
    limit = backbone.context_length
    if max_length is None:
        return limit
    if not 3 <= max_length <= limit:
        raise InputError(
            f"Expected {argument('max_length')} between 3 and {limit}, what {name!r} allows, found {max_length}."
        )
    return max_length
