"""Measure events against planted anomalies: intersection over union, share of the anomaly covered, steps.

Shares and quantiles in estimators/anomaly/events.py were chosen by the first series and kinds; ``--unseen`` measures
others, with other seeds.

python -m benchmarks.anomaly_events --model tracetune/tiny
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.report.tables import markdown_table

NORMAL, LENGTH = 2500, 2500
PLACES = (300, 900, 1500)  # of the plants, each up to 90 steps later
Spans = list[tuple[int, int]]


def _wave(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * times / 50) + 0.1 * generator.normal(size=len(times))


def _two_periods(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    both = np.sin(2 * np.pi * times / 96) + 0.5 * np.sin(2 * np.pi * times / 24 + 1)
    return both + 0.15 * generator.normal(size=len(times))


def _autoregression(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    noise, values = generator.normal(size=len(times) + 50), np.zeros(len(times) + 50)
    for step in range(1, len(values)):
        values[step] = 0.7 * values[step - 1] + noise[step]
    return values[50:]


def _beats(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    phase = times % 80
    peaks = ((3.0, 20, 3.0), (-1.0, 28, 4.0), (0.4, 50, 8.0))
    shape = sum(height * np.exp(-(((phase - at) / width) ** 2)) for height, at, width in peaks)
    return np.asarray(shape) + 0.05 * generator.normal(size=len(times))


def _square(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    edges = np.sign(np.sin(2 * np.pi * times / 70)) + 0.3 * np.sin(2 * np.pi * times / 35)
    return np.asarray(edges + 0.1 * generator.normal(size=len(times)))


def _wander(times: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    level = np.zeros(len(times))
    for step in range(1, len(level)):
        level[step] = 0.99 * level[step - 1] + 0.1 * generator.normal()
    return np.sin(2 * np.pi * times / 60) + level + 0.1 * generator.normal(size=len(times))


@dataclass(frozen=True)
class Trial:
    """Series by name, kinds of plants, and the seeds of the normal part, of the planted one, and of the plants."""

    series: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]]
    plants: tuple[str, ...]
    seeds: tuple[int, int, int]


CHOSEN = Trial(
    {"wave": _wave, "two periods": _two_periods, "autoregression": _autoregression, "beats": _beats},
    ("spike 1", "spike 3", "level 20", "level 150", "flat 40", "flat 120", "burst 30", "reversed 100", "pair"),
    (0, 1, 7),
)
UNSEEN = Trial(
    {**CHOSEN.series, "square": _square, "wander": _wander},
    ("spike 2", "level 8", "level 60", "burst 50", "flat 25", "reversed 60", "pair", "level 200"),
    (100, 101, 107),
)


def plant(values: np.ndarray, kind: str, at: int, generator: np.random.Generator) -> Spans:
    """Put an anomaly of a kind into values [T], in place, and return its spans: first steps, and those after the last.

    A pair is two spikes, 57 steps apart, the second half as high.
    """
    deviation = values.std()
    if kind == "pair":
        for place, height in ((at, 8), (at + 60, 4)):
            values[place : place + 3] += height * deviation
        return [(at, at + 3), (at + 60, at + 63)]
    name, length = kind.split()
    part = slice(at, at + int(length))
    if name == "spike":
        values[part] += (6 if length == "1" else 5) * deviation
    elif name == "level":
        values[part] += 3 * deviation
    elif name == "flat":
        values[part] = values[at]
    elif name == "burst":
        values[part] += 1.5 * deviation * generator.normal(size=int(length))
    else:
        values[part] *= -1
    return [(part.start, part.stop)]


def planted(trial: Trial, series: str, kind: str) -> tuple[np.ndarray, Spans]:
    """Return values [T] after those of `normal` with three anomalies of a kind, and where these are."""
    values = trial.series[series](np.arange(2000, 2000 + LENGTH), np.random.default_rng(trial.seeds[1]))
    generator = np.random.default_rng(trial.seeds[2])
    spans: Spans = []
    for place in PLACES:
        spans += plant(values, kind, place + int(generator.integers(0, 90)), generator)
    return values, spans


def normal(trial: Trial, series: str) -> np.ndarray:
    """Return values [T] without anomalies."""
    return trial.series[series](np.arange(NORMAL), np.random.default_rng(trial.seeds[0]))


def overlap(span: tuple[int, int], event: tuple[int, int]) -> tuple[float, float]:
    """Return intersection over union of an anomaly and an event, and the share of the anomaly that it covers."""
    shared = max(0, min(span[1], event[1]) - max(span[0], event[0]))
    together = span[1] - span[0] + event[1] - event[0] - shared
    return shared / together, shared / (span[1] - span[0])


def rows_of(detector: AnomalyDetector, trial: Trial, series: str, kind: str) -> list[dict[str, object]]:
    """Return two rows for each anomaly that a run of alarms touches: the event, and the run itself."""
    values, spans = planted(trial, series, kind)
    found = detector.events(values)
    ends = {"event": ("start", "end"), "alarms": ("first_alarm", "last_alarm")}
    stretches = {name: [(a, b + 1) for a, b in found[list(both)].to_numpy()] for name, both in ends.items()}
    rows: list[dict[str, object]] = []
    for span in spans:
        if max((overlap(span, run)[0] for run in stretches["alarms"]), default=0) == 0:
            continue
        for name, candidates in stretches.items():
            best = max(candidates, key=lambda each: overlap(span, each)[0])
            union, covered = overlap(span, best)
            rows.append(
                {"plant": kind, "piece": name, "IoU": union, "covered": covered, "steps": best[1] - best[0], "n": 1}
            )
    return rows


def main() -> None:
    """Measure two scorers and print a table of each, by kind of plant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--scorers", nargs="+", default=["neighbours", "windows"])
    parser.add_argument("--unseen", action="store_true", help="series, kinds and seeds that nothing was chosen by")
    arguments = parser.parse_args()
    trial = UNSEEN if arguments.unseen else CHOSEN
    base = AnomalyDetector.from_pretrained(arguments.model, device="cpu")
    for scorer in arguments.scorers:
        rows: list[dict[str, object]] = []
        for series in trial.series:
            detector = base.fit(normal(trial, series), scorer=scorer, false_alarm_rate=0.01)
            rows += [row for kind in trial.plants for row in rows_of(detector, trial, series, kind)]
        table = pd.DataFrame(rows)
        whole = table.assign(plant="all")
        kinds = pd.concat([table, whole]).groupby(["plant", "piece"], sort=False)
        means = kinds[["IoU", "covered", "steps"]].mean().round(3).join(kinds["n"].sum())
        print(f"\n{scorer}\n\n{markdown_table(means.reset_index().to_dict('records'))}", flush=True)


if __name__ == "__main__":
    main()
