"""Runs that are killed, stopped or out of disk space at random moments, compared with uninterrupted ones.

Tiny models are fine-tuned by the command line for every task, in processes that are forked, so that none imports
PyTorch.

- kills: SIGKILL at a random moment, or at a random change of a file or folder; sometimes again; then the same command
  until it is done. What comes out must equal what an uninterrupted run gives, to the bit, with nothing left behind.
- stops: SIGINT, SIGTERM, SIGHUP at a random moment: exit status 130, 143, 129, nothing left but the checkpoints that
  were asked for, and the same command goes on.
- disks: a file system with room for a part of what a run needs; where it ends, it says so (exit status 2), leaves no
  half output, and with more room the same command gives the same. Mounting them takes root on Linux; ``--disks 0``
  leaves them out.

    nice python -m benchmarks.reliability
"""

import argparse
import hashlib
import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Results, Row, grouped
from benchmarks.forked_commands import Death, Ended, run_command
from benchmarks.reliability_cases import CASES, MODEL, save_inputs
from tracetune.backbones.loading import load_backbone
from tracetune.report.tables import markdown_table

_STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
# entries of a record that no two runs share, and the hash that covers them
_TIMED = ("seconds", "scoring_seconds", "step_time_profile", "record_sha256")
_OF_THE_PROCESS = ("prefix_blocks", "checkpoints")  # what its cache did, and where it kept its state
_MOST_KILLS = 3  # of one run
_WAS_DONE = "is not empty"  # of the output: the run was killed after it was whole


class Campaign:
    """Commands on one model and one table, each case with the outcome of its uninterrupted run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        save_inputs(folder)
        self._references: dict[str, tuple[dict[str, str], Ended, dict[str, Any] | None]] = {}

    def command(self, case: str, checkpoints: bool = True) -> list[str]:
        """Return the arguments of a case."""
        kept = ["--checkpoints", "ck"] if checkpoints else []
        return [*CASES[case].command(self.folder), "--output", "out", *kept]

    def run(self, case: str, place: Path, death: Death | None = None, **options: Any) -> Ended:
        """Run a case in ``place``, with the step times of its uninterrupted run."""
        checkpoints = options.pop("checkpoints", True)
        profile = self._references[case][2] if case in self._references else None
        return run_command(self.command(case, checkpoints), place, death, profile, **options)

    def reference(self, case: str) -> tuple[dict[str, str], Ended]:
        """Return what an uninterrupted run of a case gives, and how it ended."""
        if case not in self._references:
            with temporary(self.folder) as place:
                ended = self.run(case, place)
                assert ended.status == 0, ended.said
                record = json.loads((place / "out" / "trace.json").read_text())
                profile = (record["selection"] or {}).get("step_time_profile")
                self._references[case] = outcome(place), ended, profile
        found, ended, _ = self._references[case]
        return found, ended

    def kill(self, case: str, number: int) -> Row:
        """Kill a run, once or several times, and let the same command end it."""
        random = np.random.default_rng([number, *case.encode()])
        expected, whole = self.reference(case)
        killed: list[str] = []
        with temporary(self.folder) as place:
            while True:
                dies = len(killed) < _MOST_KILLS and random.random() < 0.6 ** len(killed)
                death = random_death(random, whole) if dies else None
                ended = self.run(case, place, death)
                if death is None or ended.status >= 0:
                    break
                killed.append(f"{death.seconds:.2f} s" if death.change is None else f"change {death.change}")
            return {
                "campaign": "kills",
                "case": case,
                "number": number,
                "killed": killed,
                "status": ended.status,
                "same": (ended.status == 0 or _WAS_DONE in ended.said) and outcome(place) == expected,
                "left": left_over(place),
            }

    def stop(self, case: str, number: int) -> Row:
        """Send a run a signal that asks it to end, then let the same command end it."""
        random = np.random.default_rng([number, 1, *case.encode()])
        expected, whole = self.reference(case)
        sent = list(_STATUSES)[number % len(_STATUSES)]
        checkpoints = bool(number % 2)
        moment = random.uniform(0.1, 0.8) * whole.seconds
        while True:
            with temporary(self.folder) as place:
                first = self.run(case, place, Death(seconds=moment, number=sent), checkpoints=checkpoints)
                if first.status == 0:  # it ended before: the machine is faster than it was
                    moment /= 2
                    continue
                left = left_over(place, finished=False)
                again = self.run(case, place, checkpoints=checkpoints)
                same = again.status == 0 and outcome(place) == expected
            return {
                "campaign": "stops",
                "case": case,
                "number": number,
                "signal": sent.name,
                "checkpoints": checkpoints,
                "status": first.status,
                "expected_status": _STATUSES[sent],
                "said": first.said.strip().splitlines()[-1] if first.said.strip() else "",
                "left": left,
                "same": same,
            }

    def fill(self, case: str, number: int, sizes: int) -> Row:
        """Run where there is room for a part of what a run needs, then where there is enough."""
        expected, _ = self.reference(case)
        with small_disk(self.folder, 64 * 2**20) as (place, _):
            needed = self.run(case, place).most_bytes
        room = int(needed * (number + 0.5) / sizes)
        with small_disk(self.folder, room) as (place, enlarge):
            first = self.run(case, place)
            half = sorted(path.name for path in place.iterdir() if path.name not in ("ck", "tmp"))
            enlarge(64 * 2**20)
            again = self.run(case, place) if first.status else first
            return {
                "campaign": "disks",
                "case": case,
                "number": number,
                "room": room,
                "needed": needed,
                "status": first.status,
                "said": "disk is full" in first.said.lower(),
                "half_output": half if first.status else [],
                "same": again.status == 0 and outcome(place) == expected,
                "left": left_over(place),
            }


def random_death(random: np.random.Generator, whole: Ended) -> Death:
    """Return a moment by the clock, or by changes of files, of which there are many in little time."""
    if random.random() < 0.5:
        return Death(seconds=float(random.uniform(0, whole.seconds)))
    return Death(change=int(random.integers(1, whole.changes + 1)))


def outcome(place: Path) -> dict[str, str]:
    """Return a digest of each file of the output; of the record without times."""
    found = {}
    for path in sorted((place / "out").rglob("*")):
        content = path.read_bytes()
        if path.name == "trace.json":
            content = json.dumps(_lasting(json.loads(content)), sort_keys=True).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def _lasting(record: Any) -> Any:
    if isinstance(record, dict):
        return {name: _lasting(value) for name, value in record.items() if name not in (*_TIMED, *_OF_THE_PROCESS)}
    return [_lasting(value) for value in record] if isinstance(record, list) else record


def left_over(place: Path, finished: bool = True) -> list[str]:
    """Return what should not be there: temporary files, and where a run was stopped, its output."""
    wanted = {"out", "ck", "tmp"} if finished else {"ck", "tmp"}
    found = [path for path in place.iterdir() if path.name not in wanted]
    found += [path for path in (place / "tmp").iterdir() if path.name != "disk"]
    found += [path for path in place.rglob("*tracetune-partial*") if path not in found]
    return sorted(str(path.relative_to(place)) for path in found)


@contextmanager
def temporary(parent: Path) -> Iterator[Path]:
    """Yield a new folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


@contextmanager
def small_disk(parent: Path, size: int) -> Iterator[tuple[Path, Any]]:
    """Yield a file system in memory with room for ``size`` bytes, and a function that changes its size."""
    with temporary(parent) as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        try:
            yield place, lambda other: subprocess.run(["mount", "-o", f"remount,size={other}", place], check=True)
        finally:
            subprocess.run(["umount", place], check=True)


def markdown(rows: list[Row]) -> str:
    """Return a table of each campaign."""
    parts = []
    for (campaign,), of_campaign in grouped(rows, "campaign"):
        table = [
            {
                "case": case,
                "runs": len(of_case),
                **_CAMPAIGN_COLUMNS[campaign](of_case),
                "same to the bit": sum(row["same"] for row in of_case),
                "with something left behind": sum(bool(row["left"]) for row in of_case),
            }
            for (case,), of_case in grouped(of_campaign, "case")
        ]
        commits = ", ".join(sorted({row["commit"] for row in of_campaign}))
        parts.append(f"## {campaign.capitalize()}\n\nAt commit {commits}.\n\n{markdown_table(table)}")
    return "\n\n".join(parts)


def _of_kills(rows: list[Row]) -> Row:
    killed = [moment for row in rows for moment in row["killed"]]
    return {"kills": len(killed), "at a change of a file": sum(moment.startswith("change") for moment in killed)}


def _of_stops(rows: list[Row]) -> Row:
    return {
        "signals": ", ".join(sorted({row["signal"] for row in rows})),
        "exit status of the signal": sum(row["status"] == row["expected_status"] for row in rows),
    }


def _of_disks(rows: list[Row]) -> Row:
    shares = [row["room"] / row["needed"] for row in rows]
    return {
        "room, share of what is needed": f"{min(shares):.2f} to {max(shares):.2f}",
        "said so, status 2": sum(row["said"] and row["status"] == 2 for row in rows),
        "had room enough": sum(row["status"] == 0 for row in rows),
        "half outputs": sum(bool(row["half_output"]) for row in rows),
    }


_CAMPAIGN_COLUMNS = {"kills": _of_kills, "stops": _of_stops, "disks": _of_disks}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--kills", type=int, default=12, help="killed runs of each case")
    result.add_argument("--stops", type=int, default=6, help="stopped runs of each case")
    result.add_argument("--disks", type=int, default=10, help="sizes of the disk")
    result.add_argument("--cases", nargs="+", default=list(CASES))
    result.add_argument("--output", default="docs/results/reliability")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Make the rows that are missing, writing them as they come."""
    options = parser().parse_args(arguments)
    with temporary(Path(tempfile.gettempdir())) as folder:
        campaign = Campaign(folder)
        settings = argparse.Namespace(**vars(options), model="2 blocks of width 16, random weights")
        results = Results(
            "reliability", settings, load_backbone(folder / MODEL), markdown,
            identity=("campaign", "case", "number"), cases=("kills", "stops", "disks", "cases", "output"),
        )  # fmt: skip
        first, fill = options.cases[0], partial(campaign.fill, sizes=options.disks)
        campaigns = (("kills", options.kills, campaign.kill), ("stops", options.stops, campaign.stop))
        todo = [
            (name, case, number, make)
            for number in range(max(options.kills, options.stops))
            for case in options.cases
            for name, count, make in campaigns
            if number < count
        ]
        todo += [("disks", first, number, fill) for number in range(options.disks)]
        for name, case, number, make in todo:
            if results.find(campaign=name, case=case, number=number) is None:
                results.add(make(case, number))
        results.write()


if __name__ == "__main__":
    main()
