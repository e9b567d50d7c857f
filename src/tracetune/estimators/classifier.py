"""Classifier: load, fit, predict, evaluate, save."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.device import resolve_device
from tracetune.base.errors import InputError, argument
from tracetune.base.schema import from_json
from tracetune.data.windows import batches
from tracetune.estimators.labelled import checked_samples, class_numbers, samples_from_frame
from tracetune.estimators.saved_model import base_of, is_saved_model, load_model, read_saved_model, save_model
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.fitting.methods import Method
from tracetune.fitting.run import Run
from tracetune.heads.classification import ClassificationHeadConfig
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table
from tracetune.tasks.classification import Classification, LabelledSeries, labelled_data, resampled

_VALIDATION_SHARE = 0.25
_LEAST_PROBABILITY = 1e-12  # in the log loss


@dataclass(frozen=True)
class ClassifierRecord:
    """The keys of trace.json that a classifier needs.

    Attributes:
        classes: names, in the order of the outputs.
        channels: C.
        context_length: T.
        head: configuration of the head.
    """

    classes: list[str]
    channels: int
    context_length: int
    head: ClassificationHeadConfig

    @classmethod
    def from_json(cls, record: Mapping[str, Any], where: str) -> "ClassifierRecord":
        """Check what was read from the file ``where``."""
        return from_json(cls, record, where)

    def task(self, name: str) -> Classification:
        """Return the task that it was fitted for."""
        return Classification(len(self.classes), self.channels, self.context_length, name)


class Classifier:
    """A model that tells which class a whole series belongs to.

    ``fit`` returns a new object and leaves this one as it is. Series of any length are resampled to the T steps of the
    model's context by linear interpolation; every channel is scaled by its own mean and deviation inside the model, and
    both are features besides.

    >>> import numpy as np
    >>> steps = np.arange(64)
    >>> slow_and_fast = np.stack([np.sin(steps / period + shift) for shift in range(20) for period in (2, 8)])[:, None]
    >>> base = Classifier.from_pretrained("tracetune/tiny", device="cpu")
    >>> classifier = base.fit(slow_and_fast, ["fast", "slow"] * 20, method="linear_probe")
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
        """Return names of the classes, in the order of the probabilities.

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
        base: str | None = None,
        device: str = "auto",
    ) -> "Classifier":
        """Load a foundation model by name, or a classifier that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder written by
                `save_pretrained`.
            context_length: T; None takes the backbone's. A saved classifier knows its own.
            base: for a saved classifier, where its backbone is now, if not under its recorded name.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, or a backbone other than the one that was fine-tuned.
        """
        if not is_saved_model(name_or_folder):
            backbone = load_backbone(name_or_folder)
            return cls(backbone, str(name_or_folder), context_length or backbone.context_length, device=device)
        saved = read_saved_model(name_or_folder, Classification.name, ClassifierRecord.from_json)
        content = saved.content
        if context_length not in (None, content.context_length):
            raise InputError(
                f"{saved.folder} was fine-tuned for {argument('context_length', content.context_length)}. Leave it out."
            )
        name = saved.base_model.name
        model = load_model(saved, lambda found: content.task(name).model(found, content.head), base)
        inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        return cls(inner.backbone, name, content.context_length, model=model, trace=saved.record, device=device)

    def fit(
        self,
        train: pd.DataFrame | Iterable[np.ndarray],
        labels: Sequence[Any] | np.ndarray | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        validation_share: float = _VALIDATION_SHARE,
        label_column: str = "label",
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Any,
    ) -> "Classifier":
        """Fine-tune on labelled series.

        Args:
            train: an array [S, C, L], arrays [C, L] of any lengths, or a long table with a label on every row.
            labels: [S] texts or numbers; of a table they are in ``label_column``.
            config: how to fine-tune; the default is TRACE from a head that logistic regression has solved.
            method: shortcut for ``config.method``.
            validation_share: share of each class that chooses the model and does not train.
            label_column: of a table.
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: of a table: id_column, timestamp_column, target, freq, sort.

        Returns:
            A new classifier: the better of head alone and fine-tuned, on validation.

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
        config = FitConfig() if config is None else config
        config = config if method is None else replace(config, method=method)  # type: ignore[arg-type]  # names too
        values, given = self._labelled(train, labels, label_column, columns)
        samples = checked_samples(values)
        numbers, classes = class_numbers(given, len(samples), None)
        if len(classes) < 2:
            raise InputError(f"Expected series of at least two classes, found only {classes[0]!r}.")
        inputs = resampled(samples, self.context_length)
        data = labelled_data(inputs, numbers, validation_share, config.training.seed)
        task = Classification(len(classes), len(samples[0]), self.context_length, self.base_name)
        with Run.at(config.checkpoints, str(self.device), callbacks, restart=config.restart) as run:
            fitted = fit(task, self.backbone, data, config, run)
        trace = {
            **fitted.record.to_json(),
            "classes": classes,
            "channels": task.channels,
            "context_length": task.context_length,
            "base_model": asdict(base_of(self.base_name, self.backbone, fitted.model, tuned_before=False)),
            "data": {"train_samples": len(data.train), "validation_samples": len(data.validation)},
        }
        tuned = Classifier(
            self.backbone, self.base_name, self.context_length, model=fitted.model, trace=trace, device=str(self.device)
        )
        tuned.history = fitted.record.history
        return tuned

    def predict(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the probability of every class, [S, K], for series [C, L].

        Raises:
            InputError: nothing was fitted yet, or series with other numbers of channels than those of the fit.
        """
        trace = self._fitted_trace()
        assert self.model is not None
        inputs = resampled(checked_samples(values, trace["channels"]), self.context_length)
        source = LabelledSeries(inputs, np.zeros(len(inputs), dtype=np.int64))
        with torch.inference_mode():
            logits = [self.model(values=batch["values"]).logits for batch in batches(source, batch_size, self.device)]
        return torch.cat(logits).double().softmax(dim=-1).cpu().numpy()

    def classify(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the name of the most probable class of each series, [S]."""
        return np.array(self.classes)[self.predict(values, batch_size=batch_size).argmax(axis=1)]

    def predict_df(
        self, df: pd.DataFrame, *, label_column: str = "label", batch_size: int = 256, **columns: Any
    ) -> pd.DataFrame:
        """Classify the items of a long table.

        Args:
            df: as for `fit`; a label column is passed over.
            label_column: its name.
            batch_size: series per forward pass.
            columns: id_column, timestamp_column, target, freq, sort.

        Returns:
            One row an item: its id, ``predictions`` (the most probable class), and the probability of each class under
            its name.
        """
        items, values, _ = samples_from_frame(df.drop(columns=label_column, errors="ignore"), None, **columns)
        probabilities = self.predict(values, batch_size=batch_size)
        chosen = np.array(self.classes)[probabilities.argmax(axis=1)]
        item = columns.get("id_column") or next(name for name in ("item_id", "unique_id") if name in df.columns)
        table = {item: items, "predictions": chosen}
        return pd.DataFrame(table | {name: probabilities[:, k] for k, name in enumerate(self.classes)})

    def evaluate(
        self,
        test: pd.DataFrame | Iterable[np.ndarray],
        labels: Sequence[Any] | np.ndarray | None = None,
        *,
        label_column: str = "label",
        batch_size: int = 256,
        **columns: Any,
    ) -> pd.DataFrame:
        """Measure on labelled series, beside always naming the most frequent class of them.

        Returns:
            One row each: accuracy, log loss (mean cross-entropy), number of samples.

        Raises:
            InputError: unusable data, or a class that the fit did not know.
        """
        values, given = self._labelled(test, labels, label_column, columns)
        samples = checked_samples(values, self._fitted_trace()["channels"])
        numbers, _ = class_numbers(given, len(samples), self.classes)
        probabilities = self.predict(samples, batch_size=batch_size)
        of_truth = probabilities[np.arange(len(numbers)), numbers]
        shares = np.bincount(numbers, minlength=len(self.classes)) / len(numbers)
        return pd.DataFrame(
            {
                "classifier": ["model", "most frequent class"],
                "accuracy": [float((probabilities.argmax(axis=1) == numbers).mean()), float(shares.max())],
                "log_loss": [
                    float(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean()),
                    float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()),
                ],
                "samples": len(numbers),
            }
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the fine-tuned model: its weights, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was fitted yet, or the folder is not empty.
        """
        trace = {**self._fitted_trace(), "task": Classification.name}
        assert self.model is not None
        save_model(folder, self.model, trace, _card(trace))

    def _fitted_trace(self) -> dict[str, Any]:
        if self.trace is None:
            raise InputError(f"{self.base_name!r} is a foundation model, which knows no classes. Call fit first.")
        return self.trace

    @staticmethod
    def _labelled(
        data: pd.DataFrame | Iterable[np.ndarray], labels: Any, label_column: str, columns: Mapping[str, Any]
    ) -> tuple[Iterable[np.ndarray], Any]:
        """Return series and labels of either form."""
        if isinstance(data, pd.DataFrame):
            if labels is not None:
                raise InputError(
                    f"A table has its labels in a column: name it with {argument('label_column')}, and leave "
                    "labels out."
                )
            _, values, found = samples_from_frame(data, label_column, **columns)
            return values, found
        if labels is None:
            raise InputError("Expected labels, one for each series, found none.")
        if columns:
            raise InputError(f"Arrays have no columns: leave out {', '.join(columns)}.")
        return data, labels


_CARD = """---
base_model: {base}
library_name: peft
tags:
- time-series-classification
- tracetune
---

# {base}, fine-tuned to classify series with tracetune ({method})

Tells {count} classes apart ({classes}) by {channels} channels, resampled to {context_length} steps.

```python
from tracetune import Classifier

classifier = Classifier.from_pretrained("this/folder")
probabilities = classifier.predict(values)  # arrays [channels, steps]
```

## Candidates on validation (cross-entropy)

{candidates}

{verdict} Seed {seed}. Everything else about the run is in `trace.json`.
"""


def _card(trace: Mapping[str, Any]) -> str:
    return _CARD.format(
        base=trace["base_model"]["name"],
        method=trace["method"],
        count=len(trace["classes"]),
        classes=", ".join(trace["classes"][:20]),
        channels=trace["channels"],
        context_length=trace["context_length"],
        candidates=markdown_table(candidate_rows(trace)),
        verdict=verdict(trace),
        seed=trace["seed"],
    )
