"""Parts that benchmarks share: cases and their fingerprint, a fit and its two phases, result files."""

import argparse
import copy
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from tracetune.backbones.loading import weights_digest
from tracetune.base.device import resolve_device, supports_bf16
from tracetune.base.files import read_json, staged_file
from tracetune.base.seeds import seed_everything
from tracetune.data.batch_source import spread_rows
from tracetune.data.datasets import LoadedDataset, load_dataset
from tracetune.data.splits import split_panel
from tracetune.data.windows import Windows
from tracetune.evaluation.metrics import MetricAccumulator
from tracetune.evaluation.protocol import ProtocolFingerprint
from tracetune.fitting.adapter_phase import train_adapters
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import Fitted, fit
from tracetune.fitting.head_phase import train_head
from tracetune.fitting.trained import TrainedAdapters
from tracetune.tasks.forecasting.data import scale_panel
from tracetune.tasks.forecasting.model import Forecasting, ForecastModel
from tracetune.tasks.task import TrainingData
from tracetune.training.feature_cache import CachedBatches, cache_batches
from tracetune.training.run import Run

CONTEXT = 512
_DIGITS = 7  # of numbers in result files: those of single precision
Batch = dict[str, Tensor]
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One data set at one horizon, as windows of standard parts, scaled by the training part."""

    known: LoadedDataset
    context: int
    horizon: int
    train: Windows
    validation: Windows
    test: Windows

    @property
    def data(self) -> TrainingData:
        """Return what a fit takes."""
        return TrainingData(self.train, self.validation)


def load_case(
    name: str,
    horizon: int,
    train_windows: int,
    validation_windows: int,
    test_stride: int = 1,
    context: int = CONTEXT,
) -> Case:
    """Return windows of a data set, those of training and validation thinned evenly to about these numbers."""
    known = load_dataset(name)
    split = split_panel(known.panel, known.borders)
    values = scale_panel(known.panel, split.train).values
    train = Windows(values, context, horizon, split.train)
    validation = Windows(values, context, horizon, split.validation)
    return Case(
        known,
        context,
        horizon,
        Windows(values, context, horizon, split.train, max(1, round(len(train) / train_windows))),
        Windows(values, context, horizon, split.validation, -(-len(validation) // validation_windows)),
        Windows(values, context, horizon, split.test, test_stride),
    )


def fingerprint(case: Case, seed: int) -> ProtocolFingerprint:
    """Return what must agree for two rows to compare."""
    borders = case.known.borders
    assert borders is not None, "cases are data sets with published borders"
    return ProtocolFingerprint(
        dataset=case.known.info.name,
        data_sha256=case.known.info.files[0].content_sha256,
        borders=(borders.train_end, borders.validation_end, borders.test_end),
        context_length=case.context,
        prediction_length=case.horizon,
        seed=seed,
        stride=case.test.stride,
        train_windows=len(case.train),
    )


def fit_case(
    case: Case, backbone: Any, config: FitConfig, callbacks: Sequence[TrainerCallback] = (), device: str = "cpu"
) -> Fitted:
    """Fit as the package does it, guard and all."""
    with Run.at(None, device, callbacks) as run:
        return fit(Forecasting(case.horizon, case.context), backbone, case.data, config, run)


@dataclass(frozen=True)
class HeadStart:
    """A forecast model after the first phase of a fit, from which several methods are trained."""

    model: ForecastModel
    validation_loss: float
    seconds: float


def head_start(case: Case, backbone: Any, config: FitConfig) -> HeadStart:
    """Run the first phase of a fit: the head on frozen features."""
    seed_everything(config.head_training.seed)
    task = Forecasting(case.horizon, case.context)
    model = task.model(backbone, config.head or task.default_head)
    with Run.at(None, "cpu") as run:
        trained = train_head(task, model, case.data, config, run)
    return HeadStart(model.eval(), float(trained.losses.mean()), trained.seconds)


def tuned_from(start: HeadStart, case: Case, config: FitConfig) -> tuple[nn.Module, TrainedAdapters]:
    """Run the second phase of a fit from a copy of ``start``: adapters and head together."""
    with Run.at(None, "cpu") as run:
        model, trained = train_adapters(copy.deepcopy(start.model), case.data, config, run)
    return model.eval(), trained


def cached_features(model: ForecastModel, windows: Windows) -> CachedBatches:
    """Return features of the frozen backbone for every window."""
    cached = cache_batches(model.features, windows, batch_size=256)
    assert cached is not None, "features do not fit in memory: use fewer training windows"
    return cached


def test_errors(forecast: Callable[[Batch], Tensor], test: Iterable[Batch]) -> dict[str, float]:
    """Return exact MSE and MAE over all test windows."""
    metrics = MetricAccumulator(("mse", "mae"))
    with torch.inference_mode():
        for batch in test:
            metrics.update(batch["future_values"].numpy(), forecast(batch).numpy(), batch["future_mask"].numpy())
    return metrics.compute()


test_errors.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def chosen(windows: Windows, indices: np.ndarray, batch_size: int = 64) -> list[Batch]:
    """Return the windows at ``indices`` in batches."""
    parts = (indices[start : start + batch_size].tolist() for start in range(0, len(indices), batch_size))
    return [windows.__getitems__(part) for part in parts]


def spread(candidates: np.ndarray, count: int) -> np.ndarray:
    """Return one of the candidates drawn from each of ``count`` equal parts; all of them where there are fewer."""
    return candidates[spread_rows(len(candidates), count, seed=0)]


class Results:
    """Rows in a JSON file with a Markdown summary beside it, both written whole after each row.

    Rows that are already there are taken up, unless other weights or other settings made them.

    Args:
        output: path without suffix.
        script: module name of the benchmark.
        arguments: its command line.
        backbone: the backbone whose weights the rows belong to.
        summarise: from rows to Markdown.
        identity: columns that name a row.
        cases: flags that only say which rows to make, so that rows of other runs stay.
        resume: whether to take up what is there.
        device: where the rows are computed.
    """

    def __init__(
        self,
        script: str,
        arguments: argparse.Namespace,
        backbone: nn.Module,
        summarise: Callable[[list[Row]], str],
        identity: tuple[str, ...],
        cases: tuple[str, ...] = ("datasets", "seeds", "output"),
        resume: bool = True,
        device: str = "cpu",
    ) -> None:
        self.output = Path(arguments.output)
        self.identity = identity
        self.rows: list[Row] = []
        self._summarise = summarise
        self._processor = processor_name(device)
        settings = {name: value for name, value in vars(arguments).items() if name not in cases}
        self._header = {
            "command": f"python -m benchmarks.{script} {flags(arguments)}",
            "commit": commit(),
            "model": arguments.model,
            "weights_sha256": weights_digest(backbone),
            "settings": settings,
        }
        if resume and self._json.is_file():
            self._take_up(read_json(self._json))

    def find(self, **identity: Any) -> Row | None:
        """Return the row of this identity, None where it has yet to be made."""
        return next((row for row in self.rows if all(row[name] == identity[name] for name in self.identity)), None)

    def add(self, row: Row) -> None:
        """Take in a row, print its short values, and write both files."""
        self.rows.append({**row, "commit": self._header["commit"], "processor": self._processor})
        print({key: value for key, value in row.items() if not isinstance(value, (dict, list))}, flush=True)
        self.write()

    def write(self) -> None:
        """Write both files as they now are."""
        write_rows(self._json, self._header, "rows", self.rows)
        header = self._header
        processors = " and ".join(sorted({row["processor"] for row in self.rows if "processor" in row}))
        first = f"`{header['command']}` at commit {header['commit']}, weights {header['weights_sha256'][:12]}"
        first += f", on {processors}" if processors else ""
        with staged_file(self.output.with_suffix(".md")) as temporary:
            temporary.write_text(f"{first}\n\n{self._summarise(self.rows)}\n", encoding="utf-8")

    @property
    def _json(self) -> Path:
        return self.output.with_suffix(".json")

    def _take_up(self, content: dict[str, Any]) -> None:
        same = all(content.get(name) == self._header[name] for name in ("weights_sha256", "settings"))
        rows = content.get("rows", [])
        print(f"{len(rows)} rows in {self._json} " + ("taken up" if same else "are of other weights or settings"))
        self.rows = rows if same else []


def write_rows(path: Path, header: Row, name: str, rows: Sequence[Row]) -> None:
    """Write a header and, under ``name``, one row a line, numbers to 7 digits: JSON whose changes show row by row."""
    above = json.dumps(header, indent=2, allow_nan=False).removesuffix("\n}")
    lines = (json.dumps(_short(row), separators=(",", ":"), allow_nan=False) for row in rows)
    with staged_file(path) as temporary:
        temporary.write_text(f'{above},\n  "{name}": [\n' + ",\n".join(lines) + "\n  ]\n}\n", encoding="utf-8")


def _short(content: Any) -> Any:
    """Return JSON content whose numbers have the digits of single precision."""
    if isinstance(content, dict):
        return {name: _short(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_short(value) for value in content]
    return float(f"{content:.{_DIGITS}g}") if isinstance(content, float) else content


def flags(arguments: argparse.Namespace) -> str:
    """Return the command line that gives these arguments."""
    values = {name: value if isinstance(value, list) else [value] for name, value in vars(arguments).items()}
    return " ".join(f"--{name.replace('_', '-')} {' '.join(map(str, value))}" for name, value in values.items())


def grouped(rows: Iterable[Row], *names: str) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    """Yield rows by their values of ``names``, in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from groups.items()


def processor_name(device: str = "cpu") -> str:
    """Return name of the GPU, or of the processor with the widest vector instructions that PyTorch uses on it.

    Args:
        device: where a benchmark computes, "auto" as for users.
    """
    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return torch.cuda.get_device_name(resolved)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    bf16 = ", bfloat16" if supports_bf16("cpu") else ""
    return f"{next(iter(named), platform.machine())} ({torch.backends.cpu.get_cpu_capability()}{bf16})"


def commit() -> str:
    """Return the short hash of the present commit."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
