"""Processor seconds until the command line answers: help, version, models, mistakes, and the first word of a run.

    python -m benchmarks.cli_time --output docs/results/cli_time.md

Each command runs in a process of its own, one after the other; the least of several runs counts, since whatever else
the machine does only adds to it.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracetune.report.tables import format_value, markdown_table

LIMIT = 1.0  # processor seconds
FIRST_WORD_LIMIT = 2.0
COMMANDS = {
    "tracetune --help": ["--help"],
    "tracetune --version": ["--version"],
    "tracetune models": ["models"],
    "tracetune finetune --help": ["finetune", "--help"],
    "a mistyped command": ["fintune", "x.csv"],
    "a mistyped flag": ["finetune", "x.csv", "--horizon", "3"],
    "a file that is not there": ["predict", "no-such-table.csv"],
}


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = [
        {"what": name, "seconds": seconds(["-m", "tracetune", *words], arguments.repeats), "limit": LIMIT}
        for name, words in COMMANDS.items()
    ]
    rows.append(
        {"what": "import tracetune", "seconds": seconds(["-c", "import tracetune"], arguments.repeats), "limit": LIMIT}
    )
    rows.append({"what": "first word of predict", "seconds": first_word(arguments.repeats), "limit": FIRST_WORD_LIMIT})
    text = page(rows)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text)
    slow = [row["what"] for row in rows if row["seconds"] > row["limit"]]
    if slow:
        sys.exit(f"above the limit: {', '.join(slow)}")


def seconds(words: list[str], repeats: int) -> float:
    """Return the least processor seconds, user and system, of a Python process with these arguments."""
    return min(_seconds([sys.executable, *words]) for _ in range(repeats))


def first_word(repeats: int) -> float:
    """Return the least processor seconds after which ``predict`` has said what it reads."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "series.csv"
        table.write_text("date,target\n2024-01-01,1\n2024-01-02,2\n")
        return min(
            _until_first_line([sys.executable, "-m", "tracetune", "predict", str(table)]) for _ in range(repeats)
        )


def page(rows: list[dict[str, object]]) -> str:
    """Return the results page."""
    shown = [{**row, "seconds": f"{row['seconds']:.2f}", "limit": format_value(row["limit"])} for row in rows]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    return (
        "# How long the command line takes to answer\n\n"
        "`python -m benchmarks.cli_time --output docs/results/cli_time.md`, processor seconds (user and system) of one "
        f"process, the least of several runs; commit {commit.strip()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores.\n\n{markdown_table(shown)}\n\n"
        "The first word of a run comes before PyTorch is imported, which alone takes seconds.\n"
    )


def _seconds(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _until_first_line(command: list[str]) -> float:
    """Stop the process when its first line has come; what it has used by then is all that it has used."""
    before = os.times()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
    time.sleep(0.01)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
