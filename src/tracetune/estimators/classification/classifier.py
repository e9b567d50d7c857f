"""Classifier: load, fit, predict, evaluate, explain, save."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import nn
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.data.forecast_frame import free_name, of_kind
from tracetune.data.reading.sources import FrameOfKind, ReadingKeywords
from tracetune.data.windows import batches
from tracetune.estimators import labelled
from tracetune.estimators.backbone_estimator import BackboneEstimator, load_on_backbone
from tracetune.estimators.class_logits import class_logits
from tracetune.estimators.class_weights import ClassWeights
from tracetune.estimators.classification.card import classifier_card
from tracetune.estimators.classification.config import classifier_config
from tracetune.estimators.classification.fit import LabelledSamples, checked_context, fit_classifier
from tracetune.estimators.classification.labelled_tables import (
    LabelledTable,
    SeriesData,
    TableSource,
    is_table,
    labelled_samples,
    read_labelled,
)
from tracetune.estimators.classification.record import ClassifierRecord
from tracetune.estimators.classification.scored import scored_classifier
from tracetune.estimators.labelled import (
    Labels,
    checked_samples,
    class_numbers,
    require_classes,
    require_folds,
    require_share,
    say_lost_digits,
)
from tracetune.estimators.named_classes import say_never_named, say_never_named_in_fit
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.evaluation.class_evaluation import ClassEvaluation
from tracetune.fitting.config import FitConfig, with_method
from tracetune.fitting.methods.method import Method
from tracetune.fitting.trained import History
from tracetune.tasks.classification.attribution import attribution, resampled_gradients
from tracetune.tasks.classification.model import Classification, ClassificationModel
from tracetune.tasks.classification.scales import resampled
from tracetune.tasks.labelled_series import LabelledSeries
from tracetune.tasks.task import task_model_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VALIDATION_SHARE = 0.25
_EXPLAINED_AT_ONCE = 32


class Classifier(BackboneEstimator[Backbone, ClassifierRecord]):
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

    noun = "classifier"
    unfitted = "a foundation model, which knows no classes"
    task_name = Classification.name
    record_class = ClassifierRecord
    _card = staticmethod(classifier_card)

    def __init__(
        self,
        backbone: Backbone,
        base_name: str,
        context_length: int,
        *,
        model: nn.Module | None = None,
        trace: JsonObject | None = None,
        history: Mapping[str, History] | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(backbone, base_name, model=model, trace=trace, history=history, device=device)
        self.context_length = context_length

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes, in the order of the probabilities.

        Raises:
            InputError: nothing was fitted yet.
        """
        return self._fitted_record().classes

    @property
    def remembered(self) -> JsonObject:
        """Return how the table of the fit was read; empty after a fit on arrays.

        Raises:
            InputError: nothing was fitted yet.
        """
        return self._fitted_record().columns

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        context_length: int | None = None,
        *,
        base: str | Backbone | None = None,
        device: str | torch.device = "auto",
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
        loaded = load_on_backbone(
            name_or_folder,
            Classification.name,
            ClassifierRecord,
            base,
            load_backbone,
            context_length=context_length,
        )
        length = loaded.record.context_length if loaded.record else checked_context(loaded.backbone, context_length)
        return cls(loaded.backbone, loaded.base_name, length, model=loaded.model, trace=loaded.trace, device=device)

    @classmethod
    def from_backbone(
        cls,
        backbone: Backbone,
        context_length: int | None = None,
        *,
        name: str | None = None,
        device: str | torch.device = "auto",
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
        train: SeriesData,
        labels: Labels | None = None,
        config: FitConfig | None = None,
        *,
        method: Method | str | None = None,
        validation_share: float = _VALIDATION_SHARE,
        folds: int | None = None,
        class_weights: ClassWeights = None,
        label_column: str | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Unpack[ReadingKeywords],
    ) -> "Classifier":
        """Fine-tune on labelled series.

        Parts of the series are held out to choose between the head alone and the method; then the winner trains on all
        of them.

        Args:
            train: an array [S, C, L], arrays [C, L] of any lengths, a frame (pandas, polars, pyarrow) or the path of
                a .ts or .arff file or table: long with a label on every row, or with a series in each row.
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
        self._refuse_second_fit()
        require_share(validation_share)
        require_folds(folds)
        config = with_method(config or classifier_config(), method)
        values, given, read = labelled_samples(train, labels, label_column, columns)
        series = checked_samples(values, of_table=is_table(train))
        say_lost_digits(series)
        numbers, classes = class_numbers(given, len(series), None)
        require_classes(classes, "series")
        parts, device = (self.backbone, self.base_name, self.context_length), str(self.device)
        fitted, trace = fit_classifier(
            *parts,
            LabelledSamples(series, numbers, classes, read),
            config,
            device,
            validation_share=validation_share,
            folds=folds,
            class_weights=class_weights,
            callbacks=callbacks,
        )
        say_never_named_in_fit(trace, f"{trace['data']['held_out']} series that were held out")
        return Classifier(*parts, model=fitted.model, trace=trace, history=fitted.record.history, device=device)

    def predict(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the probability of every class, [S, K], for series [C, L].

        Raises:
            InputError: nothing was fitted yet, series with other numbers of channels than those of the fit, or values
                that are too large to compute with.
        """
        series = checked_samples(values, self._fitted_record().channels)
        say_lost_digits(series)
        parts = [self._inputs(series[start : start + batch_size]) for start in range(0, len(series), batch_size)]
        logits = [class_logits(self._fitted_model(), part, device=str(self.device)) for part in parts]
        found: np.ndarray = softmax(np.concatenate(logits) / self._fitted_record().temperature, axis=1)
        if not np.isfinite(found).all():
            largest = [float(np.nanmax(np.abs(one), initial=0.0)) for one in series]
            worst = int(np.argmax(largest))
            raise InputError(
                f"Expected series that the model can compute with, found a value of {largest[worst]:.3g} in series "
                f"{worst} (the first is 0), with which its numbers are not finite. Correct the value or leave it out."
            )
        return found

    def classify(self, values: Iterable[np.ndarray], *, batch_size: int = 256) -> np.ndarray:
        """Return the name of the most probable class of each series, [S]."""
        return np.array(self.classes)[self.predict(values, batch_size=batch_size).argmax(axis=1)]

    def predict_df(
        self,
        df: TableSource,
        *,
        label_column: str | None = None,
        batch_size: int = 256,
        **columns: Unpack[ReadingKeywords],
    ) -> FrameOfKind:
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
        table = read_labelled(df, label_column, columns, remembered=self._fitted_record().columns, labelled=False)
        probabilities = self.predict(table.series, batch_size=batch_size)
        found: dict[str, object] = {
            table.item_column: table.items,
            free_name("predictions", [table.item_column]): np.array(self.classes)[probabilities.argmax(axis=1)],
        }
        for name, of_class in zip(self.classes, probabilities.T, strict=True):
            found[f"class {name}" if name in found else name] = of_class
        return of_kind(pd.DataFrame(found), table.kind)

    def evaluate(
        self,
        test: SeriesData,
        labels: Labels | None = None,
        *,
        label_column: str | None = None,
        batch_size: int = 256,
        **columns: Unpack[ReadingKeywords],
    ) -> ClassEvaluation:
        """Measure on labelled series, beside always naming the most frequent class of them.

        Raises:
            InputError: unusable data, or a class that the fit did not know.
        """
        remembered = self._fitted_record().columns
        values, given, _ = labelled_samples(test, labels, label_column, columns, remembered)
        series = checked_samples(values, self._fitted_record().channels)
        numbers, _ = class_numbers(given, len(series), self.classes)
        probabilities = self.predict(series, batch_size=batch_size)
        say_never_named(probabilities, numbers, self.classes, f"{len(series)} series")
        return ClassEvaluation.of(probabilities, numbers, self.classes)

    def explain(self, values: Iterable[np.ndarray], class_name: str | None = None) -> list[np.ndarray]:
        """Return how much each step of each channel speaks for a class: gradient x input, [C, L] a series.

        See `tracetune.tasks.classification.attribution`. Steps that are missing are NaN.

        Args:
            values: series [C, L].
            class_name: the class; None takes the most probable one of each series.

        Raises:
            InputError: an unknown class, or as `predict`.
        """
        series = checked_samples(values, self._fitted_record().channels)
        name = None if class_name is None else labelled.class_name(class_name)
        if name is not None and name not in self.classes:
            raise InputError(f"Expected one of the classes {', '.join(self.classes)}, found {class_name!r}.")
        found: list[np.ndarray] = []
        for batch in batches(self._inputs(series), _EXPLAINED_AT_ONCE, str(self.device)):
            with torch.no_grad():
                best = self._fitted_model()(values=batch["values"]).logits.argmax(dim=1)
            chosen = best if name is None else torch.full_like(best, self.classes.index(name))
            gradients = resampled_gradients(self._fitted_model(), batch["values"], chosen)
            found += [attribution(series[len(found) + row], gradient) for row, gradient in enumerate(gradients)]
        return found

    def plot(
        self,
        values: Iterable[np.ndarray] | LabelledTable,
        path: str | Path | None = None,
        *,
        probabilities: np.ndarray | None = None,
    ) -> "Figure":
        """Draw series with their classes, and what speaks for them; at most six, those it is least sure of.

        Of several channels, the one is drawn whose steps speak most, for the class or against it.

        Args:
            values: series [C, L], or a table that was read.
            path: file to write the picture to, by its suffix a PNG, SVG or PDF.
            probabilities: [S, K], where they are known already.

        Returns:
            The picture; notebooks show it.
        """
        from tracetune.report.class_plots import (  # with matplotlib, which only pictures need
            ClassPanel,
            class_figure,
            least_sure,
        )

        given, table = (values.series, values) if isinstance(values, LabelledTable) else (values, None)
        series = checked_samples(given, self._fitted_record().channels)
        found = self.predict(series) if probabilities is None else probabilities
        shown = least_sure(found)
        names = range(len(series)) if table is None else table.items
        channels = [] if table is None else table.columns.get("target", [])
        drawn = []
        for number, speaks in zip(shown, self.explain([series[number] for number in shown]), strict=True):
            loudest = int(np.nan_to_num(np.abs(speaks)).sum(axis=1).argmax())
            channel = channels[loudest] if len(channels) == len(speaks) else f"channel {loudest}"
            title = (str(names[number]), channel) if len(speaks) > 1 else (str(names[number]),)
            best, shape = int(found[number].argmax()), (series[number][loudest], speaks[loudest])
            drawn.append(ClassPanel.of(title, self.classes[best], found[number][best], *shape))
        return class_figure(drawn, path)

    def scored_modules(
        self, data: Any, labels: Any = None, config: FitConfig | None = None, **reading: Any
    ) -> ScoredModules:
        """Return the modules that `module_importance` scores, and on which part of the data."""
        return scored_classifier(self, self.context_length, data, labels, config, **reading)

    def _inputs(self, series: list[np.ndarray]) -> LabelledSeries:
        """Return series as the model takes them, without labels."""
        resolution = task_model_of(self._fitted_model(), ClassificationModel).scales.resolution
        return LabelledSeries(resampled(series, resolution), np.zeros(len(series), dtype=np.int64))
