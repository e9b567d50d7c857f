"""Classifier: load, fit, predict, evaluate, explain, save."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from scipy.special import softmax
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.data.forecast_frame import of_kind
from tracetune.data.windows import batches
from tracetune.estimators.class_evaluation import ClassEvaluation
from tracetune.estimators.classifier_card import classifier_card
from tracetune.estimators.classifier_state import (
    ClassifierState,
    LabelledSamples,
    checked_context,
    class_logits,
    classifier_config,
    fit_classifier,
    load_classifier,
)
from tracetune.estimators.labelled import checked_samples, class_numbers
from tracetune.estimators.labelled_tables import is_table, read_labelled
from tracetune.estimators.saved_model import merged_model, save_model
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods.method import Method
from tracetune.tasks.attribution import attribution, resampled_gradients
from tracetune.tasks.classification import Classification, ClassificationModel
from tracetune.tasks.labelled_series import LabelledSeries
from tracetune.tasks.scales import resampled

_VALIDATION_SHARE = 0.25
_EXPLAINED_AT_ONCE = 32


class Classifier:
    """A model that tells which class a whole series belongs to.

    ``fit`` returns a new object and leaves this one as it is. Series of any length are resampled to several scales of
    the model's context by linear interpolation; every window is scaled by its own mean and deviation inside the model,
    and both are features besides.

    >>> import numpy as np
    >>> steps = np.arange(64)
    >>> slow_and_fast = np.stack([np.sin(steps / period + shift) for shift in range(8) for period in (2, 8)])[:, None]
    >>> base = Classifier.from_pretrained("tracetune/tiny", device="cpu")
    >>> classifier = base.fit(slow_and_fast, ["fast", "slow"] * 8, method="linear_probe")
    >>> classifier.classify(slow_and_fast[:2]).tolist()
    ['fast', 'slow']
    """

    def __init__(
        self,
        backbone: Backbone,
        base_name: str,
        context_length: int,
        *,
        model: nn.Module | None = None,
        trace: dict[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        self.device = resolve_device(device)
        self.backbone = backbone.to(self.device).eval()
        self.base_name = base_name
        self.context_length = context_length
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
        context_length: int | None = None,
        *,
        base: str | Backbone | None = None,
        device: str = "auto",
    ) -> "Classifier":
        """Load a foundation model by name, or a classifier that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder written by
                `save_pretrained`.
            context_length: T; None takes the backbone's. A saved classifier knows its own.
            base: for a saved classifier, where its backbone is now, if not under its recorded name; or the backbone
                itself, of which a copy is taken.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, or a backbone other than the one that was fine-tuned.
        """
        return cls(**vars(load_classifier(name_or_folder, context_length, base)), device=device)

    @classmethod
    def from_backbone(
        cls, backbone: Backbone, context_length: int | None = None, *, name: str | None = None, device: str = "auto"
    ) -> "Classifier":
        """Return a classifier on a backbone that is there already, e.g. of `tracetune.wrap_module`.

        Args:
            backbone: moved to the device and put in evaluation mode; a fit leaves its weights as they are.
            context_length: T; None takes the backbone's.
            name: as the base model is called in records and cards; None takes that of its class.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: a length below 1.
        """
        called = type(backbone).__name__ if name is None else name
        return cls(backbone, called, checked_context(backbone, context_length), device=device)

    def fit(
        self,
        train: Any,
        labels: Sequence[Any] | np.ndarray | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        validation_share: float = _VALIDATION_SHARE,
        folds: int | None = None,
        class_weights: Mapping[Any, float] | str | None = None,
        label_column: str | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Any,
    ) -> "Classifier":
        """Fine-tune on labelled series.

        Parts of the series are held out to choose between the head alone and the method; then the winner trains on all
        of them.

        Args:
            train: an array [S, C, L], arrays [C, L] of any lengths, a frame (pandas, polars, pyarrow) or the path of
                a .ts file or table: long with a label on every row, or with a series in each row.
            labels: [S] texts or numbers; of a table they are in ``label_column``.
            config: how to fine-tune; the default is TRACE from a head that ridge regression has solved.
            method: shortcut for ``config.method``.
            validation_share: share of each class that is held out, where one part is.
            folds: number of parts, each of which is held out once; None takes four where there are fewer than 200
                series, and one part of ``validation_share`` otherwise.
            class_weights: weight of each class by name, "balanced" for the same sum in each, or None.
            label_column: of a table; None takes "label".
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: how a table is read, see `ReadingOptions`: id_column, timestamp_column, target, layout, ...

        Returns:
            A new classifier: the better of head alone and fine-tuned, on series that were held out.

        Raises:
            InputError: unusable data, fewer than two classes, or this classifier is fine-tuned already.
        """
        if self.model is not None:
            raise InputError(
                "This classifier is fine-tuned already. Start from its base: "
                f"Classifier.from_pretrained({self.base_name!r})."
            )
        if not 0 < validation_share < 1:
            raise InputError(f"Expected {argument('validation_share')} between 0 and 1, found {validation_share}.")
        if folds is not None and folds < 1:
            raise InputError(f"Expected {argument('folds')} of at least 1, found {folds}.")
        config = classifier_config() if config is None else config
        config = config if method is None else replace(config, method=method)  # type: ignore[arg-type]  # names too
        values, given, read = _labelled(train, labels, label_column, columns)
        series = checked_samples(values)
        numbers, classes = class_numbers(given, len(series), None)
        if len(classes) < 2:
            raise InputError(f"Expected series of at least two classes, found only {classes[0]!r}.")
        state, history = fit_classifier(
            ClassifierState(self.backbone, self.base_name, self.context_length),
            LabelledSamples(series, numbers, classes, read),
            config,
            str(self.device),
            validation_share=validation_share,
            folds=folds,
            class_weights=class_weights,
            callbacks=callbacks,
        )
        tuned = Classifier(**vars(state), device=str(self.device))
        tuned.history = history
        return tuned

    def predict(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the probability of every class, [S, K], for series [C, L].

        Raises:
            InputError: nothing was fitted yet, or series with other numbers of channels than those of the fit.
        """
        series = checked_samples(values, self._fitted_trace()["channels"])
        parts = [self._inputs(series[start : start + batch_size]) for start in range(0, len(series), batch_size)]
        logits = [class_logits(self._fitted_model(), part, device=str(self.device)) for part in parts]
        found: np.ndarray = softmax(np.concatenate(logits) / self._fitted_trace()["temperature"], axis=1)
        return found

    def classify(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the name of the most probable class of each series, [S]."""
        return np.array(self.classes)[self.predict(values, batch_size=batch_size).argmax(axis=1)]

    def predict_df(self, df: Any, *, label_column: str | None = None, batch_size: int = 256, **columns: Any) -> Any:
        """Classify the items of a table.

        Args:
            df: a frame or a path, as for `fit`; a label column is passed over.
            label_column: its name; None takes that of the fit.
            batch_size: series per forward pass.
            columns: how it is read; as the table of the fit where nothing else is given.

        Returns:
            One row an item: its id, ``predictions`` (the most probable class), and the probability of each class under
            its name; a table of the kind that went in.
        """
        table = read_labelled(df, label_column, columns, remembered=self._fitted_trace()["columns"], labelled=False)
        probabilities = self.predict(table.series, batch_size=batch_size)
        chosen = np.array(self.classes)[probabilities.argmax(axis=1)]
        columns = {table.item_column: table.items, "predictions": chosen}
        for name, of_class in zip(self.classes, probabilities.T, strict=True):
            columns[f"class {name}" if name in columns else name] = of_class
        return of_kind(pd.DataFrame(columns), table.kind)

    def evaluate(
        self,
        test: Any,
        labels: Sequence[Any] | np.ndarray | None = None,
        *,
        label_column: str | None = None,
        batch_size: int = 256,
        **columns: Any,
    ) -> ClassEvaluation:
        """Measure on labelled series, beside always naming the most frequent class of them.

        Raises:
            InputError: unusable data, or a class that the fit did not know.
        """
        remembered = self._fitted_trace()["columns"]
        values, given, _ = _labelled(test, labels, label_column, columns, remembered)
        series = checked_samples(values, self._fitted_trace()["channels"])
        numbers, _ = class_numbers(given, len(series), self.classes)
        return ClassEvaluation.of(self.predict(series, batch_size=batch_size), numbers, self.classes)

    def explain(self, values: Iterable[np.ndarray], class_name: str | None = None) -> list[np.ndarray]:
        """Return how much each step of each channel speaks for a class: gradient x input, [C, L] a series.

        See `tracetune.tasks.attribution`. Steps that are missing are NaN.

        Args:
            values: series [C, L].
            class_name: the class; None takes the most probable one of each series.

        Raises:
            InputError: an unknown class, or as `predict`.
        """
        series = checked_samples(values, self._fitted_trace()["channels"])
        if class_name is not None and str(class_name) not in self.classes:
            raise InputError(f"Expected one of the classes {', '.join(self.classes)}, found {class_name!r}.")
        found: list[np.ndarray] = []
        for batch in batches(self._inputs(series), _EXPLAINED_AT_ONCE, str(self.device)):
            with torch.no_grad():
                best = self._fitted_model()(values=batch["values"]).logits.argmax(dim=1)
            chosen = best if class_name is None else torch.full_like(best, self.classes.index(str(class_name)))
            gradients = resampled_gradients(self._fitted_model(), batch["values"], chosen)
            found += [attribution(series[len(found) + row], gradient) for row, gradient in enumerate(gradients)]
        return found

    def merge(self) -> "Classifier":
        """Return a copy whose adapters are folded into the backbone's weights: same probabilities, no extra work."""
        if not isinstance(self._fitted_model(), PeftModel):
            return self
        model, trace = merged_model(self.model, self._fitted_trace())
        inner: Any = model
        return Classifier(
            inner.backbone, self.base_name, self.context_length, model=model, trace=trace, device=str(self.device)
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        trace = {**self._fitted_trace(), "task": Classification.name}
        save_model(folder, self._fitted_model(), trace, classifier_card(trace))

    def _fitted_trace(self) -> dict[str, Any]:
        if self.trace is None:
            raise InputError(f"{self.base_name!r} is a foundation model, which knows no classes. Call fit first.")
        return self.trace

    def _fitted_model(self) -> nn.Module:
        self._fitted_trace()
        assert self.model is not None, "what has a record has a model"
        return self.model

    def _inputs(self, series: list[np.ndarray]) -> LabelledSeries:
        """Return series as the model takes them, without labels."""
        model: Any = self._fitted_model()
        inner: ClassificationModel = model.get_base_model() if isinstance(model, PeftModel) else model
        return LabelledSeries(resampled(series, inner.scales.resolution), np.zeros(len(series), dtype=np.int64))


def _labelled(
    data: Any,
    labels: Any,
    label_column: str | None,
    columns: Mapping[str, Any],
    remembered: Mapping[str, Any] | None = None,
) -> tuple[Iterable[np.ndarray], Any, dict[str, Any]]:
    """Return series, labels and, of a table, how it was read."""
    if is_table(data):
        if labels is not None:
            raise InputError(
                f"A table has its labels in a column: name it with {argument('label_column')}, and leave labels out."
            )
        table = read_labelled(data, label_column, columns, remembered=remembered)
        return table.series, table.labels, table.columns
    if labels is None:
        raise InputError("Expected labels, one for each series, found none.")
    if columns:
        raise InputError(f"Arrays have no columns: leave out {', '.join(columns)}.")
    return data, labels, {}
