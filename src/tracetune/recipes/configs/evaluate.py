"""Settings of `tracetune evaluate`."""

from dataclasses import dataclass, field

from tracetune.base.config import require_at_least
from tracetune.recipes.configs.forecaster import ForecasterChoice
from tracetune.recipes.data_source import DataSource


@dataclass(frozen=True)
class EvaluateRun:
    """The part to backtest on, and the outputs.

    Attributes:
        output: file for the errors of every item, in its units: .csv, .parquet or .json.
        plot: file for a picture of the worst items and the median one: .png, .svg, .pdf, or .html with tables.
        test_length: with a table, all targets lie in this many last steps; without it five forecast origins.
        stride: steps between forecast origins; without it about one horizon, and 1 for a known data set.
        season: period of the seasonal naive forecast; without it the frequency's.
        recalibrate: by how many earlier origins of each series its intervals are made wider or narrower; 0 for none.
        batch_size: windows per forward pass.
        device: auto, cpu or cuda.
        overwrite: replace the output files if they exist.
    """

    output: str | None = None
    plot: str | None = None
    test_length: int | None = None
    stride: int | None = None
    season: int | None = None
    recalibrate: int = 8
    batch_size: int = 256
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        require_at_least(self, 1, "stride", "batch_size")
        require_at_least(self, 0, "recalibrate")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `tracetune evaluate`."""

    source: DataSource
    forecaster: ForecasterChoice = field(default_factory=ForecasterChoice)
    run: EvaluateRun = field(default_factory=EvaluateRun)
