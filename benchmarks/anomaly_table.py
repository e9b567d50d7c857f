"""Anomaly detectors on UCR and NAB: VUS-PR of every file, beside scores that need no model.

UCR files have a part without anomalies, which is learned. NAB files have none: the whole file is learned, with a
contamination of 0.1, the share of NAB's steps that lie in its windows by construction, and no window is compared with
itself. The whole file is scored; the learned part of UCR files as if it were new, as it is for the baselines and in
TSB-AD's tables. Windows of the metric are the dominant period (125 steps without one), as there. Steps without a score
count as the lowest.

`neighbours` (the default), `windows`, `rank_average`, `reconstruction` and `forecast` are scorers of `AnomalyDetector`;
the first two are taken as the members of the third, whose scores are the same as by themselves. "by table" compares
windows with the rest of the file too (`reference="table"`), as the matrix profile does; of NAB files, which are learned
whole, that is the same. Tuned rows fine-tune the model on the learned part first. Sub-PCA, k-means and the matrix
profile get the z-normalised windows of one period.

Weights of `neighbours` were chosen by the means of prototypes over UCR files with odd numbers; those over even ones
were seen beside them (that two widths are better than one was settled so), so that they are no blind test.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from benchmarks.common import Results, Row, grouped
from tracetune.data.datasets import dataset_paths, list_datasets
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.evaluation.anomaly.volume import volume_under_surface
from tracetune.fitting.config import FitConfig
from tracetune.fitting.methods import method_named
from tracetune.tasks.anomaly.model import LOSSES, METRIC, RECONSTRUCTION
from tracetune.tasks.anomaly.scores import RankAverage, scorer_named
from tracetune.tasks.anomaly.scores.scorer import NormalChannel, Reference
from tracetune.tasks.anomaly.scores.sliding import dominant_period, spread, window_starts, window_widths
from tracetune.training.config import TrainingConfig

WITHOUT_PERIOD = 125
NAB_CONTAMINATION = 0.1
UNTUNED = "none"
_FLOOR = 0.05  # of the median deviation: windows that vary less are near to flat


@dataclass(frozen=True)
class Labelled:
    """One series: signal [T], labels [T], and how many first steps are known to be normal (all, where none are)."""

    name: str
    signal: np.ndarray
    labels: np.ndarray
    normal: int

    @property
    def contamination(self) -> float:
        """Return the share of the learned steps that may be anomalous."""
        return 0.0 if self.normal < len(self.signal) else NAB_CONTAMINATION


def main() -> None:
    """Score every file by every scorer and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--datasets", nargs="+", default=["ucr", "nab"])
    parser.add_argument("--longest", type=int, default=10**9, help="files with more steps are left out")
    parser.add_argument("--method", default=UNTUNED, help="fine-tune on the learned part first, by this method")
    parser.add_argument("--loss", choices=LOSSES, default=RECONSTRUCTION, help="that fine-tuning minimises")
    parser.add_argument("--max-steps", type=int, default=200, help="optimizer steps of fine-tuning")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of fine-tuning; nothing else is random")
    parser.add_argument("--scores", help="folder to keep the scores of every file in")
    parser.add_argument("--output", default="docs/results/anomaly_detector")
    arguments = parser.parse_args()
    base = AnomalyDetector.from_pretrained(arguments.model)
    free = ("datasets", "longest", "method", "loss", "max_steps", "seeds", "scores", "output")
    results = Results("anomaly_table", arguments, base.anomaly_model.backbone, summarise, IDENTITY, free, device="auto")
    for collection in arguments.datasets:
        files = sorted({"ucr": ucr, "nab": nab}[collection](), key=lambda series: len(series.signal))
        for series in (each for each in files if len(each.signal) <= arguments.longest):
            for seed in arguments.seeds if arguments.method != UNTUNED else [0]:
                add_rows(results, base, collection, series, arguments, seed)


IDENTITY = ("collection", "series", "scorer", "method", "seed")


def add_rows(
    results: Results,
    base: AnomalyDetector,
    collection: str,
    series: Labelled,
    arguments: argparse.Namespace,
    seed: int,
) -> None:
    """Add the rows of one file that are not there yet, one a scorer."""
    method = arguments.method + (f" by {METRIC}" if arguments.loss == METRIC else "")
    key: Row = {"collection": collection, "series": series.name, "method": method, "seed": seed}
    window = dominant_period(series.signal) or WITHOUT_PERIOD
    scores: dict[str, np.ndarray] = {}
    seconds: dict[str, Row] = {}
    missing = [name for name in OF_DETECTOR if results.find(**key, scorer=name) is None]
    tuned: Row = {}
    if missing:
        started = time.perf_counter()
        scores, tuned = detector_scores(series, base, tuning(arguments, seed), arguments.loss, missing)
        together = {"seconds_of_all_scorers": round(time.perf_counter() - started, 2)}
        seconds = dict.fromkeys(scores, together)
    for name, scorer in BASELINES.items() if method == UNTUNED else ():
        if results.find(**key, scorer=name) is None:
            started = time.perf_counter()
            if (found := scorer(series)) is not None:
                scores[name], seconds[name] = found, {"seconds": round(time.perf_counter() - started, 2)}
    if arguments.scores and scores:
        folder = Path(arguments.scores)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"{collection}_{series.name}_{method}_{seed}.npz", labels=series.labels, **scores)
    for name, values in scores.items():
        vus_pr, _ = volume_under_surface(_without_gaps(values), series.labels, window)
        row = {**key, "scorer": name, "window": window, "steps": len(series.signal), "VUS-PR": vus_pr}
        results.add({**row, **seconds[name], **tuned})


def tuning(arguments: argparse.Namespace, seed: int) -> FitConfig | None:
    """Return how to fine-tune; None for not at all."""
    if arguments.method == UNTUNED:
        return None
    training = TrainingConfig(max_steps=arguments.max_steps, seed=seed)
    heads = TrainingConfig(max_steps=arguments.max_steps, seed=seed)
    return FitConfig(method=method_named(arguments.method), training=training, head_training=heads)


OF_DETECTOR = ("neighbours", "windows", "rank_average", "reconstruction", "forecast")
BY_TABLE = " by table"


def detector_scores(
    series: Labelled, base: AnomalyDetector, config: FitConfig | None, loss: str, names: list[str]
) -> tuple[dict[str, np.ndarray], Row]:
    """Return the scores [T] of the package, and what came out of fine-tuning for "neighbours".

    The scores are of the scorers of these names, and of windows by the table as well.
    """
    learned = NormalChannel(series.signal[: series.normal], series.contamination)
    fitted = base.fit(learned.values, config, loss=loss, contamination=series.contamination)
    ranked: Any = RankAverage().fit(learned, fitted.anomaly_model)
    whole = series.normal == len(series.signal)

    def scores(scorer: Any, reference: Reference = "normal") -> np.ndarray:
        return scorer.normal_scores if whole else scorer.score(series.signal, reference=reference)

    found = {}
    references: dict[str, Reference] = {"": "normal", BY_TABLE: "table"}
    for suffix, reference in references.items():
        members = {name: scores(member, reference) for name, member in ranked.members.items() if name in names}
        if "rank_average" in names:
            members["rank_average"] = ranked.together(members)
        found |= {name + suffix: values for name, values in members.items()}
    for name in ("reconstruction", "forecast"):
        if name in names:
            found[name] = scores(scorer_named(name).fit(learned, fitted.anomaly_model))
    return found, {} if config is None else _outcome(fitted, config)


def _outcome(fitted: AnomalyDetector, config: FitConfig) -> Row:
    """Return which model came out on validation, how far it was moved back, and the losses of all."""
    assert fitted.trace is not None
    candidates = {each["name"]: each for each in fitted.trace["candidates"]}
    return {
        "max_steps": config.training.max_steps,
        "winner": fitted.trace["winner"],
        "factor": candidates[fitted.trace["winner"]]["factor"],
        "losses": {name: round(each["validation_loss"], 5) for name, each in candidates.items()},
    }


def sub_pca(series: Labelled) -> np.ndarray:
    """Return the share of each z-normalised window that the leading components of the normal ones leave out."""
    starts, windows, normal = _windows(series)
    fitted = PCA(0.95, svd_solver="full").fit(windows[normal])
    errors = ((windows - fitted.inverse_transform(fitted.transform(windows))) ** 2).sum(1)
    return spread(starts, errors, _width(series), len(series.signal))


def k_means(series: Labelled) -> np.ndarray:
    """Return the distance of each z-normalised window to the nearest of 20 centres of the normal ones."""
    starts, windows, normal = _windows(series)
    centres = MiniBatchKMeans(20, random_state=0, n_init=3).fit(windows[normal])
    return spread(starts, centres.transform(windows).min(1), _width(series), len(series.signal))


def matrix_profile(series: Labelled) -> np.ndarray | None:
    """Return the distance of each window to the nearest other one (stumpy's STUMP); None where stumpy is not there."""
    try:
        import stumpy
    except ImportError:
        return None
    width = _width(series)
    distances = stumpy.stump(series.signal, width)[:, 0].astype(float)
    starts = np.arange(len(distances))
    return spread(starts, np.nan_to_num(distances, posinf=0.0), width, len(series.signal))


def moving_z_score(series: Labelled) -> np.ndarray:
    """Return the moving mean of the distance to the normal part's mean, in its deviations."""
    normal = series.signal[: series.normal]
    distances = np.abs(series.signal - normal.mean()) / (normal.std() or 1.0)
    return pd.Series(distances).rolling(_width(series), center=True, min_periods=1).mean().to_numpy()


BASELINES: dict[str, Callable[[Labelled], np.ndarray | None]] = {
    "Sub-PCA": sub_pca,
    "k-means": k_means,
    "matrix profile": matrix_profile,
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
    """Return the means by collection and method, over the files that have all scores; and those of every file."""
    lines = ["# Anomaly detectors", "", *(__doc__ or "").partition("\n\n")[2].splitlines(), "", "## Mean VUS-PR", ""]
    names = list(dict.fromkeys(row["scorer"] for row in rows))
    head = ["collection", "method", "files", "seeds", *names]
    lines += [_line(head), _line(["---"] * len(head))]
    halves = [
        {**row, "collection": f"ucr, {'odd' if int(row['series'].split()[0]) % 2 else 'even'}"}
        for row in rows
        if row["collection"] == "ucr"
    ]
    for (collection, method), members in grouped([*rows, *halves], "collection", "method"):
        scorers = {row["scorer"] for row in members}
        files = {
            series for (series,), found in grouped(members, "series") if scorers == {row["scorer"] for row in found}
        }
        members = [row for row in members if row["series"] in files]
        seeds = {row["seed"] for row in members}
        means = [_mean([row["VUS-PR"] for row in members if row["scorer"] == name]) for name in names]
        lines.append(_line([collection, method, str(len(files)), str(len(seeds)), *means]))
    lines += ["", "## VUS-PR by file", ""]
    head = ["file", "steps", "method", "seed", "window", *names]
    lines += [_line(head), _line(["---"] * len(head))]
    for (series, method, seed), members in grouped(rows, "series", "method", "seed"):
        found = {row["scorer"]: f"{row['VUS-PR']:.3f}" for row in members}
        first = members[0]
        cells = [series, str(first["steps"]), method, str(seed), str(first["window"])]
        lines.append(_line(cells + [found.get(name, "") for name in names]))
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(length: int, spans: list[tuple[int, int]]) -> np.ndarray:
    labels = np.zeros(length, int)
    for start, stop in spans:
        labels[start:stop] = 1
    return labels


def _without_gaps(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(scores), np.nanmin(scores), scores)


def _width(series: Labelled) -> int:
    return window_widths(series.signal[: series.normal])[0]


def _windows(series: Labelled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return starts [K], z-normalised windows [K, W], and which of them are normal [K]."""
    width = _width(series)
    starts = window_starts(len(series.signal), width, max(1, width // 8))
    windows = np.lib.stride_tricks.sliding_window_view(series.signal, width)[starts]
    deviation = windows.std(1, keepdims=True)
    deviation = np.maximum(deviation, _FLOOR * np.median(deviation) + 1e-12)
    return starts, (windows - windows.mean(1, keepdims=True)) / deviation, starts + width <= series.normal


if __name__ == "__main__":
    main()
