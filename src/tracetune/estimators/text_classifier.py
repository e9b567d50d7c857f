"""TextClassifier: load, fit, predict, evaluate, save."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from sklearn.metrics import f1_score, matthews_corrcoef
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.text_encoder import TextEncoder, load_text_encoder
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.windows import batches
from tracetune.estimators.labelled import class_numbers
from tracetune.estimators.saved_model import base_of, is_saved_model, load_model, read_saved_model, save_model
from tracetune.estimators.text_classifier_card import text_classifier_card
from tracetune.estimators.text_classifier_record import TextClassifierRecord
from tracetune.estimators.text_fit import FitTexts, text_fit_config
from tracetune.estimators.texts import TextColumns, Texts, checked_texts, find_columns, table_of, texts_of_frame
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods.method import Method
from tracetune.fitting.run import Run
from tracetune.tasks.labelled_series import split_samples
from tracetune.tasks.task import TrainingData
from tracetune.tasks.text import LabelledTexts, TextClassification

logger = logging.getLogger(__name__)

_VALIDATION_SHARE = 0.25
_NOUNS = "text", "texts"
_LEAST_PROBABILITY = 1e-12  # in the log loss


class TextClassifier:
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

    def __init__(
        self,
        backbone: TextEncoder,
        base_name: str,
        max_length: int | None = None,
        *,
        model: nn.Module | None = None,
        trace: dict[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.backbone = backbone.to(self.device).eval()
        self.base_name = base_name
        self.max_length = _checked_length(max_length, backbone, base_name)
        self.model = None if model is None else model.to(self.device).eval()
        self.trace = trace
        self.history: dict[str, list[dict[str, Any]]] = {}

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes, in the order of the probabilities.

        Raises:
            InputError: nothing was fitted yet.
        """
        classes: list[str] = self._fitted_trace()["classes"]
        return classes

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        max_length: int | None = None,
        *,
        base: str | None = None,
        device: str = "auto",
    ) -> "TextClassifier":
        """Load a text encoder of transformers, or a text classifier that was saved.

        Args:
            name_or_folder: a Hugging Face hub id, a folder with an encoder and its tokenizer, or a folder written by
                `save_pretrained`.
            max_length: most tokens of a text; None takes what the encoder allows. A saved classifier knows its own.
            base: for a saved classifier, where its encoder is now, if not under its recorded name.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, or an encoder other than the one that was fine-tuned.
        """
        if not is_saved_model(name_or_folder):
            return cls(load_text_encoder(name_or_folder), str(name_or_folder), max_length, device=device)
        saved = read_saved_model(name_or_folder, TextClassification.name, TextClassifierRecord.from_json)
        content = saved.content
        if max_length not in (None, content.max_length):
            raise InputError(
                f"{saved.folder} was fine-tuned for {argument('max_length', content.max_length)}. Leave it out."
            )
        name = saved.base_model.name
        model = load_model(
            saved, lambda found: content.task(name).model(found, content.head), base, load=load_text_encoder
        )
        inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        return cls(inner.backbone, name, content.max_length, model=model, trace=saved.record, device=device)

    def fit(
        self,
        train: Any,
        labels: Sequence[Any] | np.ndarray | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        validation_share: float = _VALIDATION_SHARE,
        text_column: str | Sequence[str] | None = None,
        label_column: str | None = None,
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
            callbacks: Trainer callbacks, e.g. a progress bar.

        Returns:
            A new classifier: the better of head alone and fine-tuned, on validation.

        Raises:
            InputError: unusable data, fewer than two classes, or this classifier is fine-tuned already.
        """
        if self.model is not None:
            raise InputError(
                "This classifier is fine-tuned already. Start from its base: "
                f"TextClassifier.from_pretrained({self.base_name!r})."
            )
        if config is None:
            config = text_fit_config(method or "trace")
        elif method is not None:
            config = replace(config, method=method)  # type: ignore[arg-type]  # names too
        found = self.fit_texts(
            train,
            labels,
            validation_share,
            config.training.seed,
            text_column=text_column,
            label_column=label_column,
        )
        with Run.at(config.checkpoints, str(self.device), callbacks, restart=config.restart) as run:
            fitted = fit(found.task, self.backbone, found.data, config, run)
        trace = {
            **fitted.record.to_json(),
            "classes": found.classes,
            "max_length": self.max_length,
            "longest": found.task.longest,
            "pairs": found.pairs,
            "text_columns": [] if found.columns is None else list(found.columns.texts),
            "label_column": None if found.columns is None else found.columns.label,
            "base_model": asdict(base_of(self.base_name, fitted.backbone_sha256, fitted.model, tuned_before=False)),
            "data": {
                "train_samples": len(found.data.train),
                "validation_samples": len(found.data.validation),
                "cut": found.cut,
            },
        }
        tuned = TextClassifier(
            self.backbone, self.base_name, self.max_length, model=fitted.model, trace=trace, device=str(self.device)
        )
        tuned.history = fitted.record.history
        return tuned

    def fit_texts(
        self,
        train: Any,
        labels: Sequence[Any] | np.ndarray | None,
        validation_share: float,
        seed: int,
        *,
        text_column: str | Sequence[str] | None = None,
        label_column: str | None = None,
    ) -> FitTexts:
        """Tokenise labelled texts once, and part those that validate, see `fit`.

        Raises:
            InputError: unusable data, fewer than two classes, or one that this classifier does not know.
        """
        if not 0 < validation_share < 1:
            raise InputError(f"Expected {argument('validation_share')} between 0 and 1, found {validation_share}.")
        texts, given, columns = _labelled(train, labels, text_column, label_column)
        known = None if self.trace is None else self.classes
        numbers, classes = class_numbers(given, len(texts), known, _NOUNS)
        if len(classes) < 2:
            raise InputError(f"Expected texts of at least two classes, found only {classes[0]!r}.")
        samples, cut = self._tokenized(texts, numbers)
        train_rows, validation_rows = split_samples(numbers, validation_share, seed)
        data = TrainingData(samples.by_length(train_rows), samples.by_length(validation_rows))
        task = TextClassification(len(classes), samples.longest, self.base_name)
        return FitTexts(task, data, classes, texts.second is not None, columns, cut)

    def predict(self, texts: Iterable[Any], *, batch_size: int = 64) -> np.ndarray:
        """Return the probability of every class, [S, K], for texts, or for pairs if it was fitted on pairs.

        Raises:
            InputError: nothing was fitted yet, or something else than what it was fitted on.
        """
        return self._predict(checked_texts(texts, self._fitted_trace()["pairs"]), batch_size)

    def classify(self, texts: Iterable[Any], *, batch_size: int = 64) -> np.ndarray:
        """Return the name of the most probable class of each text, [S]."""
        return np.array(self.classes)[self.predict(texts, batch_size=batch_size).argmax(axis=1)]

    def predict_df(
        self, df: Any, *, text_column: str | Sequence[str] | None = None, batch_size: int = 64
    ) -> pd.DataFrame:
        """Classify the rows of a table.

        Args:
            df: pandas, polars or pyarrow, with the columns of the fit.
            text_column: where the texts are; None takes the columns of the fit, if it had some, or looks for them.
            batch_size: texts per forward pass.

        Returns:
            The texts, ``predictions`` (the most probable class), and the probability of each class under its name.
        """
        frame = _table(df)
        columns = self._columns(frame, text_column, None, labelled=False)
        texts, _ = texts_of_frame(frame, columns, self._fitted_trace()["pairs"])
        probabilities = self._predict(texts, batch_size)
        table = frame[list(columns.texts)].reset_index(drop=True)
        table["predictions"] = np.array(self.classes)[probabilities.argmax(axis=1)]
        taken = set(table.columns)
        names = [f"probability of {name}" if name in taken else name for name in self.classes]
        return pd.concat([table, pd.DataFrame(probabilities, columns=names)], axis=1)

    def evaluate(
        self,
        test: Any,
        labels: Sequence[Any] | np.ndarray | None = None,
        *,
        text_column: str | Sequence[str] | None = None,
        label_column: str | None = None,
        batch_size: int = 64,
    ) -> pd.DataFrame:
        """Measure on labelled texts, beside always naming the most frequent class of them.

        Returns:
            One row each: accuracy; F1, of two classes that of the second one, of more the mean over all; Matthews
            correlation; log loss (mean cross-entropy); number of samples.

        Raises:
            InputError: unusable data, or a class that the fit did not know.
        """
        trace = self._fitted_trace()
        if (frame := table_of(test)) is not None:
            columns = self._columns(frame, text_column, label_column, labelled=True)
            text_column, label_column = columns.texts, columns.label
        texts, given, _ = _labelled(test, labels, text_column, label_column, trace["pairs"])
        numbers, _ = class_numbers(given, len(texts), self.classes, _NOUNS)
        samples, _ = self._tokenized(texts, numbers)
        probabilities = self._probabilities(samples, batch_size)
        shares = np.bincount(numbers, minlength=len(self.classes)) / len(numbers)
        frequent = np.broadcast_to(shares, probabilities.shape)
        rows = {"model": probabilities, "most frequent class": frequent}
        return pd.DataFrame([{"classifier": name, **_scores(found, numbers)} for name, found in rows.items()])

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        trace = {**self._fitted_trace(), "task": TextClassification.name}
        assert self.model is not None
        save_model(folder, self.model, trace, text_classifier_card(trace))

    def _fitted_trace(self) -> dict[str, Any]:
        if self.trace is None:
            raise InputError(f"{self.base_name!r} is an encoder, which knows no classes. Call fit first.")
        return self.trace

    def _columns(
        self, frame: pd.DataFrame, text_column: Any, label_column: str | None, *, labelled: bool
    ) -> TextColumns:
        """Return the columns as named, as in the fit where the table has them, or as found."""
        trace = self._fitted_trace()
        if text_column is None and trace["text_columns"] and set(trace["text_columns"]) <= set(frame.columns):
            text_column = trace["text_columns"]
        if label_column is None and trace["label_column"] in frame.columns:
            label_column = trace["label_column"]
        columns = find_columns(frame, text_column, label_column, labelled=labelled)
        if columns.said:
            logger.warning("%s", columns.said)
        return columns

    def _tokenized(self, texts: Texts, numbers: np.ndarray) -> tuple[LabelledTexts, int]:
        """Return token numbers of texts, and how many texts were cut."""
        named, cut = self.backbone.tokenize(texts.first, texts.second, self.max_length)
        if cut:
            limit = argument("max_length", self.max_length)
            logger.warning(Remark(f"{cut} of {len(texts)} texts are longer than {limit} tokens, and are cut there."))
        return LabelledTexts(named, numbers, self.backbone.padding), cut

    def _predict(self, texts: Texts, batch_size: int) -> np.ndarray:
        samples, _ = self._tokenized(texts, np.zeros(len(texts), dtype=np.int64))
        return self._probabilities(samples, batch_size)

    def _probabilities(self, samples: LabelledTexts, batch_size: int) -> np.ndarray:
        """Return probabilities [S, K]; texts of about the same length share a batch."""
        assert self.model is not None
        rows = samples.order()
        ordered = samples.by_length(np.arange(len(samples)))
        with torch.inference_mode():
            logits = [
                self.model(**{name: entry for name, entry in batch.items() if name != "labels"}).logits
                for batch in batches(ordered, batch_size, self.device)
            ]
        found = torch.cat(logits).double().softmax(dim=-1).cpu().numpy()
        probabilities = np.empty_like(found)
        probabilities[rows] = found
        return probabilities


def _labelled(
    data: Any, labels: Any, text_column: Any, label_column: str | None, pairs: bool | None = None
) -> tuple[Texts, Any, TextColumns | None]:
    """Return texts and labels of either form, and of a table its columns."""
    frame = table_of(data)
    if frame is not None:
        if labels is not None:
            raise InputError(
                f"A table has its labels in a column: name it with {argument('label_column')}, and leave labels out."
            )
        columns = find_columns(frame, text_column, label_column, labelled=True)
        if columns.said:
            logger.warning("%s", columns.said)
        texts, found = texts_of_frame(frame, columns, pairs)
        return texts, found, columns
    if labels is None:
        raise InputError("Expected labels, one for each text, found none.")
    if text_column is not None or label_column is not None:
        raise InputError(f"A list has no columns: leave out {argument('text_column')} and {argument('label_column')}.")
    return checked_texts(data, pairs), labels, None


def _table(df: Any) -> pd.DataFrame:
    frame = table_of(df)
    if frame is None:
        raise InputError(f"Expected a table, found {type(df).__name__}. Lists of texts are classified by predict.")
    return frame


def _checked_length(max_length: int | None, backbone: TextEncoder, name: str) -> int:
    limit = backbone.context_length
    if max_length is None:
        return limit
    if not 3 <= max_length <= limit:
        raise InputError(
            f"Expected {argument('max_length')} between 3 and {limit}, what {name!r} allows, found {max_length}."
        )
    return max_length


def _scores(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the scores of probabilities [S, K] for classes [S]."""
    chosen = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    average: dict[str, Any] = (
        {"average": "binary"} if classes == 2 else {"average": "macro", "labels": np.arange(classes)}
    )
    of_truth = np.maximum(probabilities[np.arange(len(truth)), truth], _LEAST_PROBABILITY)
    return {
        "accuracy": float((chosen == truth).mean()),
        "f1": float(f1_score(truth, chosen, zero_division=0, **average)),
        "matthews": float(matthews_corrcoef(truth, chosen)),
        "log_loss": float(-np.log(of_truth).mean()),
        "samples": len(truth),
    }
