"""AnomalyDetector: load, fit, detect, evaluate, update, save."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
import torch
from transformers import TrainerCallback

from tracetune.backbones.backbone import Backbone
from tracetune.base.errors import InputError, Remark, argument
from tracetune.data.panels import Panel
from tracetune.data.reading.labels import LABEL_COLUMN
from tracetune.data.reading.sources import FrameOfKind, ReadingKeywords
from tracetune.estimators.anomaly.card import detector_card
from tracetune.estimators.anomaly.detector_parts import DetectorParts
from tracetune.estimators.anomaly.evaluation import evaluate_scores, left_out, other_labels
from tracetune.estimators.anomaly.frames import (
    AnomalyData,
    AnomalyLabels,
    drawn_panels,
    frame_of_events,
    frame_of_scores,
    labelled_panel,
    normal_part,
    panel_of,
    require_channels,
)
from tracetune.estimators.anomaly.item_scorer import ItemScorer, items_of, total
from tracetune.estimators.anomaly.normal_scoring import NormalScoring
from tracetune.estimators.anomaly.scored import scored_detector
from tracetune.estimators.anomaly.series_scores import ScoredPanel, Scores, without_score
from tracetune.estimators.anomaly.state import fit_detector, load_detector
from tracetune.estimators.anomaly.stream import ItemStream, stream_frame
from tracetune.estimators.anomaly.thresholds import Threshold, short_past, threshold_rule
from tracetune.estimators.saved_model import save_model
from tracetune.estimators.scored_modules import ScoredModules
from tracetune.fitting.config import FitConfig, with_method
from tracetune.fitting.methods.method import Method
from tracetune.report.anomaly_plots import anomaly_figure
from tracetune.tasks.anomaly.model import RECONSTRUCTION, AnomalyDetection
from tracetune.tasks.anomaly.scores.scorer import Reference, Scorer, checked_reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_FALSE_ALARM_RATE = 1e-3


class AnomalyDetector(DetectorParts):
    """Finds steps of series that are unlike a part which is known to be normal.

    ``fit`` returns a new object and leaves this one as it is. Data are tables as in docs/data.md, or arrays: [T],
    [C, T], or one [C, T] a series. Every item, and every channel of it, is compared with its own normal part.

    >>> import numpy as np
    >>> wave = np.sin(np.arange(1200) / 6)
    >>> test = wave[:600].copy()
    >>> test[300:330] = 0.2
    >>> detector = AnomalyDetector.from_pretrained("tracetune/tiny", device="cpu").fit(wave)
    >>> event = detector.events(test).iloc[0]
    >>> bool(event.start <= 310 and event.end >= 320)
    True
    """

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        base: str | Path | Backbone | None = None,
        device: str | torch.device = "auto",
    ) -> "AnomalyDetector":
        """Load a foundation model by name, or a detector that was saved.

        Args:
            name_or_folder: "tracetune/tiny", a Hugging Face hub id, a folder with a backbone, or a folder written by
                `save_pretrained`.
            base: for a saved detector, where its backbone is now, if not under its recorded name; or the backbone
                itself, of which a copy is taken.
            device: "auto", "cpu", "cuda", ...

        Raises:
            InputError: unknown or damaged model, or a backbone other than the one that was fine-tuned.
        """
        return cls(**vars(load_detector(name_or_folder, base, device)), device=device)

    def fit(
        self,
        train: AnomalyData,
        config: FitConfig | None = None,
        *,
        labels: AnomalyLabels = None,
        method: Method | str | None = None,
        loss: str = RECONSTRUCTION,
        scorer: Scorer | str = "neighbours",
        contamination: float = 0.0,
        false_alarm_rate: float = _FALSE_ALARM_RATE,
        label_column: str = LABEL_COLUMN,
        callbacks: Sequence[TrainerCallback] = (),
        **columns: Unpack[ReadingKeywords],
    ) -> "AnomalyDetector":
        """Learn a normal part, and fine-tune the model on it where that is asked for.

        Args:
            train: the part without anomalies. Some that are in it all the same are told by `remarks`.
            config: how to fine-tune; None and no ``method`` leaves the model as it is.
            labels: [T] or one array a series; steps that are labelled 1 are not learned. Of a table they are in
                ``label_column``, or here, as times: windows [start, end] and single times by the name of the table's
                file, or the path of a JSON file with them, such as NAB's combined_windows.json.
            method: shortcut for ``config.method``: ``Trace(...)``, ``Lora(...)``, or a name ("trace", "lora", ...).
            loss: that fine-tuning minimises: "reconstruction" of hidden patches, or "metric", which embeds neighbouring
                windows near each other and windows that are unlike far apart.
            scorer: what scores: "neighbours", "windows", "reconstruction", "forecast", "rank_average", or one of them
                with options, such as ``Neighbours(widths=(50,))``.
            contamination: share of the steps that may be anomalous, for data of which no part is known to be normal.
            false_alarm_rate: share of normal steps that raise an alarm: peaks over threshold.
            label_column: a column of the table that says which steps are anomalous (0 and 1, false and true, normal and
                anomaly, ...): no channel, of this table and of later ones.
            callbacks: Trainer callbacks, e.g. a progress bar.
            columns: id_column, timestamp_column, target, freq, ..., the fields of ``ReadingOptions``.

        Returns:
            A new detector.

        Raises:
            InputError: unusable data or configuration, or this detector has learned a part already.
        """
        if self.learned is not None:
            raise InputError(
                "This detector has learned a normal part already. Start from its base: "
                f"AnomalyDetector.from_pretrained({self.base_name!r})."
            )
        scoring = NormalScoring.of(scorer, contamination, false_alarm_rate)
        panel, labelled = normal_part(train, labels, label_column, **columns)
        config = None if config is None and method is None else with_method(config or FitConfig(), method)
        if config is None and loss != RECONSTRUCTION:
            raise InputError(f"{argument('loss', loss)} changes nothing without {argument('method')}. Leave it out.")
        fitted = fit_detector(
            self.anomaly_model,
            self.base_name,
            panel,
            config,
            str(self.device),
            loss=loss,
            scoring=scoring,
            label_column=label_column,
            labelled=labelled,
            callbacks=callbacks,
        )
        tuned = AnomalyDetector(**vars(fitted), device=str(self.device))
        for remark in tuned.remarks:
            logger.warning(remark)
        return tuned

    def score(
        self, data: AnomalyData, *, reference: Reference = "normal", **columns: Unpack[ReadingKeywords]
    ) -> FrameOfKind:
        """Return the scores of every step: in units in which 0 is the median of the normal part, 1 its 0.99 quantile.

        Steps that were learned are not compared with themselves. A step that lacks a value, or is near many that do,
        has no score (NaN): see docs/anomaly.md.

        Args:
            data: a table or arrays, with the channels that were learned.
            reference: "normal" compares windows with the part that was learned; "table" with those of ``data`` too that
                they do not overlap, so that what recurs in it, though it was not learned, is no anomaly. A fault that
                fills the table is none then either.
            columns: as for `fit`.

        Returns:
            One row a step: item, time, ``score_<channel>`` where there are several, ``score``, the highest of them.

        Raises:
            InputError: nothing was learned yet, other channels, or items that were not learned.
        """
        panel = self._panel(data, columns)
        return frame_of_scores(panel, self._scores(panel, None, reference), alarms=False)

    def detect(
        self,
        data: AnomalyData,
        threshold: Threshold | float | None = None,
        *,
        reference: Reference = "normal",
        **columns: Unpack[ReadingKeywords],
    ) -> FrameOfKind:
        """Return the scores of every step, and where an alarm is raised.

        Args:
            data: as for `score`.
            threshold: a score, or a rule such as ``RollingQuantile(window=1000)``; None takes the score that normal
                steps exceed at the false alarm rate of the fit.
            reference: as for `score`; each has a threshold of its own.
            columns: as for `fit`.

        Returns:
            As `score`, with ``threshold`` and ``alarm``.

        Raises:
            InputError: as `score`.
        """
        panel = self._panel(data, columns)
        return frame_of_scores(panel, self._scores(panel, threshold, reference))

    def events(
        self,
        data: AnomalyData,
        threshold: Threshold | float | None = None,
        *,
        reference: Reference = "normal",
        **columns: Unpack[ReadingKeywords],
    ) -> FrameOfKind:
        """Return one row an event; runs of alarms with less than a quarter of the scorer's reach between them are one.

        ``start`` and ``end`` are the first and last time with at least 0.6 of the highest score of the run, and that
        differ from the nearest normal windows more than normal steps do; where such times are further apart than half
        of the reach, they are events of their own. Alarms themselves, from ``first_alarm`` to ``last_alarm``, begin and
        end up to a window beyond the anomaly. ``steps`` is from start to end, ``peak`` is the time with the highest
        score among these, ``score`` and ``channel`` are those of the peak.
        """
        panel = self._panel(data, columns)
        return frame_of_events(panel, self._scores(panel, threshold, reference), self._items(panel))

    def evaluate(
        self,
        test: AnomalyData,
        labels: AnomalyLabels = None,
        *,
        label_column: str | None = None,
        window: int | None = None,
        threshold: Threshold | float | None = None,
        reference: Reference = "normal",
        **columns: Unpack[ReadingKeywords],
    ) -> pd.DataFrame:
        """Measure on labelled series, beside a moving z-score, which needs no model.

        Args:
            test: as for `score`.
            labels: [T], 1 where anomalous, or one array a series; of a table they are in ``label_column``, or here, as
                times, see `fit`.
            label_column: of a table; None takes that of the fit. Another one is taken, and said: steps that it calls
                anomalies may have been learned as normal.
            window: the largest window of the volumes in steps; None takes the dominant period of each series; without
                one 125, or a quarter of its steps where that is less.
            threshold: as for `detect`.
            reference: as for `score`.
            columns: as for `fit`.

        Returns:
            One row a series and scorer: the window, all metrics of ``evaluation.anomaly.report``, and precision,
            recall, F1 and share of false alarms at the threshold, which knows no label. Of a series without
            anomalies there are only the false alarms, the rest is NaN, and means of pandas pass over it; a line in the
            log names such series.

        Raises:
            InputError: as `score`; or no series with both normal and anomalous steps.
        """
        known = self._known()
        if isinstance(labels, (str, Path, Mapping)) and label_column is not None:
            raise InputError(
                f"{argument('labels')} by time and {argument('label_column')} are two ways to say which steps are "
                "anomalous. Leave one out."
            )
        label_column = label_column or known.label_column
        others = [known.label_column] if label_column != known.label_column else []
        panel, given = labelled_panel(test, labels, label_column, known.reading, others, **columns)
        require_channels(panel, known.channels)
        if given is None:
            raise InputError(
                f"Expected labels in a column {label_column!r}, or as {argument('labels')}. Name the column with "
                f"{argument('label_column')}."
            )
        scores = self._scores(panel, threshold, reference)
        found = evaluate_scores(panel, scores, given, window, items_of(panel, known.items))
        self._say(other_labels(known, label_column) + left_out(panel, given))
        return found

    def update(
        self, rows: AnomalyData, threshold: Threshold | float | None = None, **columns: Unpack[ReadingKeywords]
    ) -> FrameOfKind:
        """Score rows as they arrive, without reading the past again.

        The past of an item is the part that was learned, and then what was given here. Scores of windows that are
        still to come count too, so that the newest scores are not the last word: every call returns the new rows and
        those before whose scores may have changed. ``settled`` says that no further row can change a score: it is what
        `score` finds for one table of the learned part and all rows, by the normal part.

        Args:
            rows: the next rows of some items, at later times than before; steps in between are missing. Arrays follow
                the last step.
            threshold: as for `detect`; counts from an item's first rows on.
            columns: as for `fit`.

        Returns:
            As `detect`, with ``settled``.

        Raises:
            InputError: as `score`; or rows that do not come after those before.
        """
        known = self._known()
        if "reference" in columns:
            raise InputError(
                "Rows that arrive are compared with the normal part alone: what is still to come is not known. Leave "
                f"{argument('reference')} out, or give all rows at once to detect."
            )
        panel, rule = self._panel(rows, columns), threshold_rule(threshold, known.threshold)
        streams = {
            series.item_id: self._streams.get(series.item_id) or ItemStream(item, rule)
            for series, item in zip(panel, items_of(panel, known.items), strict=True)
        }
        frame = stream_frame(panel, streams, counted=isinstance(rows, (np.ndarray, list, tuple)))
        self._streams |= streams
        return frame

    def plot(
        self,
        data: AnomalyData,
        threshold: Threshold | float | None = None,
        path: str | Path | None = None,
        *,
        labels: AnomalyLabels = None,
        reference: Reference = "normal",
        **columns: Unpack[ReadingKeywords],
    ) -> "Figure":
        """Draw series, their scores and the events in them, and the labelled anomalies where there are labels.

        Of more than six series, those with labelled anomalies come first, then those with alarms.

        Args:
            data: as for `score`.
            threshold: as for `detect`.
            path: file to write it to; its suffix is the format (``.png``, ``.pdf``, ``.svg``).
            labels: as for `evaluate`.
            reference: as for `score`.
            columns: as for `fit`.
        """
        if labels is None:
            panel, given = self._panel(data, columns), None
        else:
            known = self._known()
            panel, given = labelled_panel(data, labels, known.label_column, known.reading, **columns)
            require_channels(panel, known.channels)
        scores = self._scores(panel, threshold, reference)
        drawn = drawn_panels(panel, scores, self._items(panel), given)
        title = f"{len(drawn)} of {len(panel):,} series" if len(drawn) < len(panel) else ""
        return anomaly_figure(drawn, title, path)

    def scored_modules(
        self, data: Any, labels: AnomalyLabels = None, config: FitConfig | None = None, **reading: Any
    ) -> ScoredModules:
        """Return the modules that `module_importance` scores, and on which part of the data."""
        return scored_detector(self, data, labels, config, **reading)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model, what it has learned, a model card and trace.json; whole or not at all.

        Raises:
            InputError: nothing was learned yet, or the folder is not empty.
        """
        known = self._known()
        assert self.trace is not None
        trace = {**self.trace, **known.to_json(), "task": AnomalyDetection.name}
        save_model(folder, self.model, trace, detector_card(trace), known.arrays())

    def _scores(self, panel: Panel, threshold: Threshold | float | None, reference: Reference) -> list[Scores]:
        known = self._known()
        default = known.table_threshold if checked_reference(reference) == "table" else known.threshold
        rule = threshold_rule(threshold, default)
        items = items_of(panel, known.items)
        if self._scored is None or not self._scored.is_of(panel, reference):
            channels = [
                item.score(each.values, item.place_of(each), reference) for each, item in zip(panel, items, strict=True)
            ]
            self._scored = ScoredPanel.of(panel, reference, channels)
        found = []
        for series, item, scores in zip(panel, items, self._scored.channels, strict=True):
            sums = total(scores)
            found.append(Scores(series, scores, sums, rule.of(sums, total(item.normal_scores))))
        self._say(without_score(found) + short_past(found, rule))
        return found

    def _say(self, remarks: Sequence[Remark]) -> None:
        """Log remarks that were not logged before: several methods look at the same table."""
        for remark in remarks:
            if remark not in self._said:
                logger.warning(remark)
        self._said.update(remarks)

    def _items(self, panel: Panel) -> list[ItemScorer]:
        return items_of(panel, self._known().items)

    def _panel(self, data: AnomalyData, columns: ReadingKeywords) -> Panel:
        known = self._known()
        panel = panel_of(data, known.reading, known.label_column, **columns)
        require_channels(panel, known.channels)
        return panel
