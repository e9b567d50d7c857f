"""False alarms on later rows without anomalies: what was stated, and what came, before and after.

Eight short files of the UCR archive and three families of synthetic series, chosen before anything was measured. Of
the part that the archive calls normal, the first 60 % (or as many rows as asked for) are learned and the rest is
scored; every alarm there is false. Of the UCR files, the stretch with the anomaly is scored too: is there an alarm in
it? How separate events are counted was settled after a first look at these series, so that "after" is no test on
unseen ones.

Before: peaks over threshold (Grimshaw's fit) on the scores of the learned rows, each compared with all windows that do
not overlap it. After: what `AnomalyDetector` does, see docs/anomaly.md.

    python -m benchmarks.anomaly_thresholds --cells runs/anomaly_thresholds --output docs/results/anomaly_thresholds.md

With ``--simulated``, three kinds of series that no rule was chosen by, of 500 to 50,000 learned rows and several seeds,
and 10,000 later rows each; what is written is a section of the page.

    python -m benchmarks.anomaly_thresholds --simulated --seeds 6 --cells runs/anomaly_simulated --output section.md
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from benchmarks.anomaly_table import ucr
from benchmarks.common import commit, flags, grouped, processor_name
from tracetune.base.files import read_json, write_json
from tracetune.estimators.anomaly.anomaly_detector import AnomalyDetector
from tracetune.evaluation.anomaly.alarm_threshold import alarm_threshold
from tracetune.evaluation.anomaly.normal_scores import suspicious_stretches
from tracetune.evaluation.anomaly.thresholds import peaks_over_threshold
from tracetune.report.tables import markdown_table

FILES = ("112", "115", "130", "136", "141", "157", "162", "174")
RATES = (0.001, 0.01)
LEARNED = 0.6
SIMULATED = ("autoregressive, heavy tails", "walk with a day", "counts")
LENGTHS = (500, 2_000, 10_000, 50_000)
LONG = 10_000  # rows; longer parts have a third of the seeds
LATER = 10_000


@dataclass(frozen=True)
class Part:
    """A series: what is normal of it [T], and where an anomaly is [A] with what is around it; None without."""

    family: str
    name: str
    normal: np.ndarray
    odd: np.ndarray | None = None


def parts() -> Iterator[Part]:
    """Return the UCR files, then the synthetic series."""
    for series in ucr():
        if series.name.split()[0] in FILES:
            (marked,) = np.nonzero(series.labels)
            start, stop = max(marked[0] - 400, 0), marked[-1] + 401
            yield Part("UCR", series.name, series.signal[: series.normal], series.signal[start:stop])
    for family in ("noise", "heavy tails", "wandering level"):
        yield Part(family, f"{family} 0", synthetic(family, 0))


def synthetic(family: str, seed: int, steps: int = 4000) -> np.ndarray:
    """Return a series with a season of 100 steps and noise: Gaussian, Student's t(3), or an AR(1) of .995."""
    generator = np.random.default_rng(seed)
    time = np.arange(steps)
    season = np.sin(2 * np.pi * time / 100) + 0.5 * np.sin(2 * np.pi * time / 50 + 1)
    if family == "heavy tails":
        return season + 0.2 * generator.standard_t(3, steps)
    noise = generator.standard_normal(steps)
    if family == "noise":
        return season + 0.2 * noise
    level = np.zeros(steps)
    for step in range(1, steps):
        level[step] = 0.995 * level[step - 1] + 0.1 * noise[step]
    return season + level + 0.1 * generator.standard_normal(steps)


def simulated_parts(seeds: int) -> Iterator[tuple[Part, int]]:
    """Return series of the kinds in ``SIMULATED`` with how many of their rows are learned."""
    for family in SIMULATED:
        for learned in LENGTHS:
            for seed in range(seeds if learned <= LONG else max(seeds // 3, 1)):
                name = f"{family.replace(',', '')} {learned} {seed}"
                yield Part(family, name, simulated(family, seed, learned + LATER)), learned


def simulated(family: str, seed: int, steps: int) -> np.ndarray:
    """Return a series [T]: AR(1) of .9 with innovations of Student's t(3); a random walk of a tenth of the amplitude a
    step with a day of 24 steps; or Poisson counts around a mean that goes from 2 to 10 and back in 24 steps.
    """
    generator = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * np.arange(steps) / 24)
    if family == "counts":
        return generator.poisson(6 + 4 * day).astype(float)
    if family == "walk with a day":
        return day + np.cumsum(0.1 * generator.standard_normal(steps))
    return lfilter([1.0], [1.0, -0.9], generator.standard_t(3, steps))


def run(part: Part, scorer: str, base: AnomalyDetector, learned: int | None, *, both: bool = True) -> dict[str, Any]:
    """Learn the first part of a series, score the rest, and count the false alarms of both rules, or of the new one."""
    border = learned or round(LEARNED * len(part.normal))
    detector = base.fit(part.normal[:border], scorer=scorer, false_alarm_rate=RATES[0])
    assert detector.learned is not None
    (item,) = detector.learned.items.values()
    later = item.score(part.normal[None, border:])[0]
    odd = None if part.odd is None else item.score(part.odd[None])[0]
    scores = item.normal_scores[0]
    _, left = suspicious_stretches(scores, item.reach)
    held_out = np.where(left, item.held_out_scores()[0], np.nan)
    rows = []
    for rate in RATES:
        after = alarm_threshold([held_out], [item.reach], rate)
        thresholds = {"after": after.value}
        if both:
            before = peaks_over_threshold(scores[left], rate, max(0.02, 2 * rate, 10 / left.sum()))
            thresholds = {"before": before, **thresholds}
        for rule, threshold in thresholds.items():
            row = {"rule": rule, "stated": rate, "threshold": threshold, "measured": float((later > threshold).mean())}
            found = None if odd is None else bool((odd > threshold).any())
            rows.append(row | {"anomaly": found, "rows": after.rows, "events": after.events})
    return {"family": part.family, "series": part.name, "scorer": scorer, "learned": border, "later": len(later),
            "reach": item.reach, "commit": commit(), "rows": rows}  # fmt: skip


def markdown(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Return the page."""
    flat = [{**{k: v for k, v in cell.items() if k != "rows"}, **row} for cell in cells for row in cell["rows"]]
    summary = []
    for (family, stated, rule), group in grouped(flat, "family", "stated", "rule"):
        measured = [row["measured"] for row in group]
        found = [row["anomaly"] for row in group if row["anomaly"] is not None]
        summary.append(
            {
                "family": family,
                "stated": f"{stated:.1%}",
                "rule": rule,
                "series": len(group),
                "false alarms, mean": f"{np.mean(measured):.2%}",
                "median": f"{np.median(measured):.2%}",
                "worst": f"{max(measured):.2%}",
                "anomaly raises an alarm": f"{sum(found)} of {len(found)}" if found else "",
            }
        )
    lines = []
    for (series, stated), group in grouped(flat, "series", "stated"):
        line: dict[str, Any] = {"series": series, "stated": f"{stated:.1%}", "learned": group[0]["learned"]}
        line |= {"later": group[0]["later"], "reach": group[0]["reach"], "events": group[0]["events"]}
        for row in group:
            line[f"threshold {row['rule']}"] = f"{row['threshold']:.2f}"
            line[f"false alarms {row['rule']}"] = f"{row['measured']:.2%}"
        lines.append(line)
    commits = ", ".join(sorted({cell["commit"] for cell in cells}))
    return (
        "\n\n".join(
            [
                f"`{command_line(arguments)}` at commit {commits}, on {processor_name()}",
                "# Alarms at a stated rate",
                "\n\n".join(part.replace("\n", " ") for part in (__doc__ or "").split("\n\n")[1:3]),
                "## Mean by family",
                markdown_table(summary),
                "## Every series",
                markdown_table(lines),
            ]
        )
        + "\n"
    )


def command_line(arguments: argparse.Namespace) -> str:
    """Return the command that makes the page, without where its files are."""
    left_out = ("cells", "output", "page_only")
    told = {name: value for name, value in vars(arguments).items() if name not in left_out and value}
    switch = " --simulated" if told.pop("simulated", False) else ""
    return f"python -m benchmarks.anomaly_thresholds{switch} {flags(argparse.Namespace(**told))}"


def section(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """Return the section on simulated series: of each kind and length, the false alarms of the rule in use."""
    flat = [{**{k: v for k, v in cell.items() if k != "rows"}, **row} for cell in cells for row in cell["rows"]]
    lines = []
    for (family, learned, stated), group in grouped(flat, "family", "learned", "stated"):
        measured = np.array([row["measured"] for row in group])
        events = [row["events"] for row in group]
        lines.append(
            {
                "series": family,
                "learned": learned,
                "stated": f"{stated:.1%}",
                "seeds": len(group),
                "events": f"{min(events)} to {max(events)}",
                "false alarms, mean": f"{measured.mean():.2%}",
                "median": f"{np.median(measured):.2%}",
                "worst": f"{measured.max():.2%}",
                "above the stated rate": f"{(measured > stated).sum()} of {len(group)}",
            }
        )
    commits = ", ".join(sorted({cell["commit"] for cell in cells}))
    made = f"`{command_line(arguments)}` at commit {commits}, on {processor_name()}"
    return f"## Simulated series of other kinds\n\n{made}\n\n{markdown_table(lines)}\n"


def main() -> None:
    """Make the cells that are not there, and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny")
    parser.add_argument("--scorer", default="neighbours")
    parser.add_argument("--learned", type=int, help="rows to learn of each series, instead of 60 %%")
    parser.add_argument("--simulated", action="store_true", help="three kinds of series at four lengths instead")
    parser.add_argument("--seeds", type=int, help="series of each kind and length, of the longest a third (6)")
    parser.add_argument("--cells", default="runs/anomaly_thresholds", help="folder for a file a series")
    parser.add_argument("--output", help="page to write")
    parser.add_argument("--page-only", action="store_true", help="make no cells, but the page of those that are there")
    arguments = parser.parse_args()
    base = None if arguments.page_only else AnomalyDetector.from_pretrained(arguments.model, device="cpu")
    cells = []
    rows = "" if arguments.learned is None else f"-{arguments.learned}"
    every = (
        simulated_parts(arguments.seeds or 6)
        if arguments.simulated
        else ((part, arguments.learned) for part in parts())
    )
    for part, learned in every:
        path = Path(arguments.cells) / f"{part.name.replace(' ', '_')}-{arguments.scorer}{rows}.json"
        if not path.is_file() and base is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, run(part, arguments.scorer, base, learned, both=not arguments.simulated))
        if path.is_file():
            cells.append(read_json(path))
            print(
                part.name,
                [(row["rule"], row["stated"], round(row["measured"], 4)) for row in cells[-1]["rows"]],
                flush=True,
            )
    page = section if arguments.simulated else markdown
    if arguments.output is not None:
        Path(arguments.output).write_text(page(cells, arguments), encoding="utf-8")


if __name__ == "__main__":
    main()
