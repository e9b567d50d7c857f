"""Anomaly scores without labels on UCR and NAB: VUS-PR of every file, beside scores that need no model.

UCR files have a part without anomalies, which is learned. NAB files have none: the whole file is learned and scored,
each window against the nearest 3 % of the others. Windows of the metric are the dominant period (125 steps without
one), as in TSB-AD's tables; the whole file counts, the learned part included.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from torch import Tensor
from tracetune.tasks.anomaly_scores.series_scorer import fit_series_scorer

from benchmarks.common import Results, Row
from tracetune.backbones.loading import load_backbone
from tracetune.data.datasets import dataset_paths, list_datasets
from tracetune.evaluation.anomaly.volume import volume_under_surface
from tracetune.tasks.anomaly_scores.neighbour_scorer import fit_neighbour_scorer, window_widths
from tracetune.tasks.anomaly_scores.sliding import dominant_period, spread, window_starts

WITHOUT_PERIOD = 125


@dataclass(frozen=True)
class Labelled:
    """One series: signal [T], labels [T], and how many first steps are known to be normal (all, where none are)."""

    name: str
    signal: np.ndarray
    labels: np.ndarray
    normal: int


def main() -> None:
    """Score every file by every scorer and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--datasets", nargs="+", default=["ucr", "nab"])
    parser.add_argument("--output", default="docs/results/anomaly")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.model).eval()
    results = Results("anomaly_table", arguments, backbone, summarise, ("collection", "series"))
    for collection in arguments.datasets:
        for series in {"ucr": ucr, "nab": nab}[collection]():
            if results.find(collection=collection, series=series.name) is None:
                results.add({"collection": collection, "series": series.name, **vus_pr(series, backbone)})


def vus_pr(series: Labelled, backbone: torch.nn.Module) -> Row:
    """Return the window of the metric, the share of labelled steps, and VUS-PR by scorer."""
    window = dominant_period(series.signal) or WITHOUT_PERIOD
    row: Row = {"window": window, "labelled": float(series.labels.mean())}
    for name, scorer in SCORERS.items():
        scores = scorer(series, backbone)
        row[name] = volume_under_surface(scores, series.labels, window)[0]
    return row


def shape_and_level(series: Labelled, backbone: torch.nn.Module) -> np.ndarray:
    """Return the scores of the package: patch embeddings and levels."""
    normal = series.signal[: series.normal]
    scorer = fit_series_scorer(normal, backbone, neighbours=_neighbours(series))
    return scorer.normal_scores if len(normal) == len(series.signal) else scorer.score(series.signal)


def raw_shape(series: Labelled, _: torch.nn.Module) -> np.ndarray:
    """Return distances to the nearest normal windows, z-normalised: what a matrix profile measures."""
    normal = series.signal[: series.normal]
    scorer = fit_neighbour_scorer(normal, _z_normalised, neighbours=_neighbours(series))
    return scorer.normal_scores if len(normal) == len(series.signal) else scorer.score(series.signal)


def sub_pca(series: Labelled, _: torch.nn.Module) -> np.ndarray:
    """Return the share of each z-normalised window that the leading components of the normal ones leave out."""
    starts, windows, normal = _windows(series)
    fitted = PCA(0.95, svd_solver="full").fit(windows[normal])
    errors = ((windows - fitted.inverse_transform(fitted.transform(windows))) ** 2).sum(1)
    return spread(starts, errors, _width(series), len(series.signal))


def k_means(series: Labelled, _: torch.nn.Module) -> np.ndarray:
    """Return the distance of each z-normalised window to the nearest of 20 centres of the normal ones."""
    starts, windows, normal = _windows(series)
    centres = MiniBatchKMeans(20, random_state=0, n_init=3).fit(windows[normal])
    return spread(starts, centres.transform(windows).min(1), _width(series), len(series.signal))


def moving_z_score(series: Labelled, _: torch.nn.Module) -> np.ndarray:
    """Return the moving mean of the distance to the normal part's mean, in its deviations."""
    normal = series.signal[: series.normal]
    distances = np.abs(series.signal - normal.mean()) / (normal.std() or 1.0)
    return pd.Series(distances).rolling(_width(series), center=True, min_periods=1).mean().to_numpy()


SCORERS: dict[str, Callable[[Labelled, torch.nn.Module], np.ndarray]] = {
    "shape and level": shape_and_level,
    "raw windows": raw_shape,
    "Sub-PCA": sub_pca,
    "k-means": k_means,
    "moving z-score": moving_z_score,
}


def ucr() -> Iterator[Labelled]:
    """Return the files of the UCR anomaly archive that are here; their names say where the anomaly is."""
    for name in (name for name in list_datasets("anomaly") if name.startswith("ucr_")):
        path = next(iter(dataset_paths(name).values()))
        found = re.match(r"\d+_UCR_Anomaly_(\w+?)_(\d+)_(\d+)_(\d+)\.txt", path.name)
        assert found is not None, path.name
        normal, start, stop = map(int, found.groups()[1:])
        values = np.loadtxt(path)
        yield Labelled(f"{name.removeprefix('ucr_')} {found[1]}", values, _marked(len(values), [(start, stop)]), normal)


def nab() -> Iterator[Labelled]:
    """Return the files of the Numenta anomaly benchmark that are here and have anomalies."""
    for name in (name for name in list_datasets("anomaly") if name.startswith("nab")):
        paths = dataset_paths(name)
        windows = next(path for file, path in paths.items() if file.endswith("combined_windows.json"))
        spans = json.loads(windows.read_text())
        for file, path in paths.items():
            key = file.removeprefix("anomaly/nab/").removesuffix(".gz")
            if not spans.get(key):
                continue
            table = pd.read_csv(path, parse_dates=["timestamp"])
            inside = [table.timestamp.between(pd.Timestamp(first), pd.Timestamp(last)) for first, last in spans[key]]
            labels = np.logical_or.reduce(inside).astype(int)
            yield Labelled(key.rpartition("/")[2].removesuffix(".csv"), table.value.to_numpy(float), labels, len(table))


def summarise(rows: list[Row]) -> str:
    """Return the means by collection, and every file."""
    lines = [
        "# Anomaly scores without labels",
        "",
        *__doc__.partition("\n\n")[2].splitlines(),
        "",
        "## Mean VUS-PR",
        "",
    ]
    lines += ["| collection | files | " + " | ".join(SCORERS) + " |", "|---|---|" + "---|" * len(SCORERS)]
    for collection in dict.fromkeys(row["collection"] for row in rows):
        members = [row for row in rows if row["collection"] == collection]
        means = " | ".join(f"{np.mean([row[name] for row in members]):.3f}" for name in SCORERS)
        lines.append(f"| {collection} | {len(members)} | {means} |")
    lines += ["", "## VUS-PR by file", "", "| file | window | " + " | ".join(SCORERS) + " |"]
    lines.append("|---|---|" + "---|" * len(SCORERS))
    for row in rows:
        values = " | ".join(f"{row[name]:.3f}" for name in SCORERS)
        lines.append(f"| {row['series']} | {row['window']} | {values} |")
    return "\n".join(lines)


def _marked(length: int, spans: list[tuple[int, int]]) -> np.ndarray:
    labels = np.zeros(length, int)
    for start, stop in spans:
        labels[start:stop] = 1
    return labels


def _neighbours(series: Labelled) -> int:
    """Return 3, or where anomalies are learned along, 3 % of the windows: more than an anomaly has."""
    if series.normal < len(series.signal):
        return 3
    return max(3, round(0.03 * len(series.signal) / 16))


def _width(series: Labelled) -> int:
    return window_widths(series.signal[: series.normal])[1]


def _windows(series: Labelled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return starts [K], z-normalised windows [K, W], and which of them are normal [K]."""
    width = _width(series)
    starts = window_starts(len(series.signal), width, max(1, width // 8))
    windows = np.lib.stride_tricks.sliding_window_view(series.signal, width)[starts]
    return starts, _z_normalised(windows).numpy(), starts + width <= series.normal


def _z_normalised(windows: np.ndarray) -> Tensor:
    centred = windows - windows.mean(1, keepdims=True)
    deviation = windows.std(1, keepdims=True)
    floor = 0.05 * np.median(deviation) + 1e-12
    picked = np.linspace(0, windows.shape[1] - 1, min(64, windows.shape[1])).round().astype(int)
    return torch.as_tensor((centred / np.maximum(deviation, floor))[:, picked] / 8, dtype=torch.float32)


if __name__ == "__main__":
    main()
