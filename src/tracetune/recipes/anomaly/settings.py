"""Settings of the commands for anomaly detection; defaults are those of the library."""

import math
from dataclasses import dataclass, field
from typing import Literal

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.base.config import require_at_least
from tracetune.base.errors import InputError
from tracetune.recipes.data_source import DataSource
from tracetune.recipes.settings.command_run import CommandRun
from tracetune.recipes.settings.demo import DemoChoice
from tracetune.recipes.settings.finetune import FinetuneSettings, LoraChoice, MethodChoice
from tracetune.recipes.settings.scoring import ScoredModel, ScoringChoice, SeriesLoraTraining

UNTUNED = "none"


@dataclass(frozen=True)
class BackboneChoice:
    """The foundation model to start from.

    Attributes:
        model: name of a foundation model (see `tracetune models`), hub id or folder.
    """

    model: str = EMBEDDED_MODEL


@dataclass(frozen=True)
class AnomalyMethod(MethodChoice):
    """The method that trains on the normal part, and the models it is compared with.

    Attributes:
        method: none (the model is left as it is), trace, lora, adalora, dora, linear_probe or full.
        loss: that training minimises: reconstruction (hidden patches are rebuilt) or metric (neighbouring windows are
            embedded near each other, windows that are unlike far apart; no head, not for linear_probe).
        start: what the method trains on from: head, zero-shot (no new head), or best of the two.
        shrink: move the trained model back towards its start, as far as validation says: together (by one factor),
            modules (by one for each LoRA module first) or none.
        guard_margin: by how many standard errors a model must beat a simpler one on validation to come out instead.
    """

    method: str = UNTUNED
    loss: str = "reconstruction"


@dataclass(frozen=True)
class ScorerChoice:
    """The scorer, and the score above which an alarm is raised.

    Attributes:
        scorer: neighbours, windows, reconstruction, forecast or rank_average.
        widths: of windows in steps, for the scorers neighbours and windows; without it one and two periods.
        contamination: share of the steps that may be anomalous, where no part is known to be normal.
        false_alarm_rate: share of normal steps that raise an alarm.
        label_column: column that says which steps are anomalous (0 and 1, false and true, normal and anomaly, ...):
            no channel. What it labels so is not learned.
        labels: JSON file with windows [start, end] or times of anomalies by the name of the table's file, as NAB's
            combined_windows.json; what lies in them is not learned.
    """

    scorer: str = "neighbours"
    widths: tuple[int, ...] = ()
    contamination: float = 0.0
    false_alarm_rate: float = 1e-3
    label_column: str = "label"
    labels: str | None = None

    def __post_init__(self) -> None:
        if self.widths and self.scorer not in ("neighbours", "windows"):
            raise InputError(f"--widths goes with the scorers neighbours and windows, not {self.scorer}. Leave it out.")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSettings):
    """Settings of a run that learns a normal part."""

    source: DataSource
    backbone: BackboneChoice = field(default_factory=BackboneChoice)
    scoring: ScorerChoice = field(default_factory=ScorerChoice)
    method: AnomalyMethod = field(default_factory=AnomalyMethod)


@dataclass(frozen=True)
class DetectorChoice:
    """The detector that a command runs.

    Attributes:
        model: folder of a detector that `tracetune finetune --task anomaly` saved.
        base: where the foundation model of a saved one is now, if its folder was moved.
        threshold: score above which an alarm is raised; without it what normal steps exceed at the false alarm rate.
        rolling: raise an alarm above a quantile of this many scores before a step, for series that change for good.
        level: of that quantile.
        reference: what windows are compared with: normal (the part that was learned), or table (the rest of the series
            as well, so that what recurs in it is no anomaly).
    """

    model: str | None = None
    base: str | None = None
    threshold: float | None = None
    rolling: int | None = None
    level: float = 0.999
    reference: Literal["normal", "table"] = "normal"

    def __post_init__(self) -> None:
        if self.model is None:
            raise InputError("Expected --model FOLDER: a detector that `tracetune finetune --task anomaly` saved.")
        if self.threshold is not None and self.rolling is not None:
            raise InputError("--threshold and --rolling are two ways to raise an alarm. Leave one out.")
        require_at_least(self, 2, "rolling")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InputError(f"Expected --threshold to be a finite number, found {self.threshold}.")
        if self.rolling is None and self.level != DetectorChoice.level:
            raise InputError("--level changes nothing without --rolling. Leave it out, or give both.")
        if not 0 < self.level < 1:
            raise InputError(f"Expected --level between 0 and 1, found {self.level}.")

    @property
    def folder(self) -> str:
        """Return the folder of the detector."""
        assert self.model is not None, "refused above"
        return self.model


@dataclass(frozen=True)
class DetectRun(CommandRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the scores and alarms of every step: .csv, .csv.gz, .tsv, .xlsx, .parquet, .json or .jsonl.
        events: file for the events: .csv, .csv.gz, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of up to six series with their scores: .png, .svg, .pdf, or .html with tables.
    """

    output: str = "scores.csv"
    events: str | None = None


@dataclass(frozen=True)
class DetectConfig:
    """Settings of `tracetune detect`."""

    source: DataSource
    detector: DetectorChoice
    run: DetectRun = field(default_factory=DetectRun)


@dataclass(frozen=True)
class EvaluateRun(CommandRun):
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the metrics: .csv, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture of up to six series with their scores and labels: .png, .svg, .pdf, or .html with
            tables.
    """


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`.

    Attributes:
        label_column: column that says which steps are anomalous; without it that of the fit.
        labels: JSON file with windows [start, end] or times of anomalies by the name of the table's file, as NAB's
            combined_windows.json; instead of a column.
        window: largest window of VUS in steps; without it the dominant period of each series.
    """

    source: DataSource
    detector: DetectorChoice
    label_column: str | None = None
    labels: str | None = None
    window: int | None = None
    run: EvaluateRun = field(default_factory=EvaluateRun)

    def __post_init__(self) -> None:
        require_at_least(self, 0, "window")
        if self.labels is not None and self.label_column is not None:
            raise InputError(
                "--labels and --label-column are two ways to say which steps are anomalous. Leave one out."
            )


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Settings of `tracetune importance` for anomaly detectors.

    Attributes:
        label_column: column that says which steps are anomalous, which do not count; without it that of the fit.
        labels: JSON file with windows [start, end] or times of anomalies by the name of the table's file, likewise.
        loss: that scores are shares of: reconstruction or metric; without it that of the fit, or reconstruction.
    """

    source: DataSource
    scored: ScoredModel = field(default_factory=ScoredModel)
    label_column: str | None = None
    labels: str | None = None
    loss: str | None = None
    scoring: ScoringChoice
    lora: LoraChoice = field(default_factory=LoraChoice)
    training: SeriesLoraTraining = field(default_factory=SeriesLoraTraining)


@dataclass(frozen=True)
class DemoConfig(DemoChoice):
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for temperatures.csv, scores.csv, events.csv, events.png and the detector.
        model: foundation model to score with.
        method: none (the model is left as it is), trace, lora, adalora, dora, linear_probe or full.
        scorer: neighbours, windows, reconstruction, forecast or rank_average.
    """

    method: str = UNTUNED
    scorer: str = "neighbours"
