"""Peak memory of a fit, in copies of the backbone: random weights at a geometry of MOMENT, few tiny batches.

Each method runs in a process of its own. The peak is that of the resident set above what the process held when the
backbone was built, so that 1.0 is one more copy of the backbone (and all else that the fit needs).

    python -m benchmarks.fit_memory
    python -m benchmarks.fit_memory --geometry base
"""

import argparse
import json
import subprocess
import sys

import numpy as np

from benchmarks.peers import GEOMETRIES, random_moment
from tracetune.data.windows import Windows
from tracetune.evaluation.cost import peak_memory_bytes
from tracetune.fitting.config import FitConfig
from tracetune.fitting.fit import fit
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.model import Forecasting
from tracetune.tasks.task import TrainingData
from tracetune.training.config import TrainingConfig
from tracetune.training.run import Run

CONTEXT, HORIZON = 64, 8
METHODS = ("linear_probe", "lora", "trace")


def measure(method: str, geometry: str) -> dict[str, float]:
    """Return megabytes of the backbone, and of the peak above it, in this process."""
    values = [np.sin(np.arange(240, dtype=np.float32) / 3)[None]]
    train = Windows(values, CONTEXT, HORIZON, [(0, 160)], stride=16)
    data = TrainingData(train, Windows(values, CONTEXT, HORIZON, [(160, 240)], stride=16))
    training = TrainingConfig(max_steps=2, batch_size=2, evaluations=1)
    config = FitConfig(method=method, head_training=training, training=training)  # type: ignore[arg-type]  # names too
    backbone = random_moment(geometry, seq_len=CONTEXT, patch_len=8, partial_patches="fill")
    backbone.encode(data.validation.__getitems__([0])["past_values"])  # kernels and thread pools are there
    before = peak_memory_bytes()
    with Run.at(None) as run:
        fit(Forecasting(HORIZON, CONTEXT), backbone, data, config, run)
    size = sum(weight.nbytes for weight in backbone.parameters())
    return {"backbone": size / 1e6, "above": (peak_memory_bytes() - before) / 1e6}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, help="only this one, in this process, as JSON")
    parser.add_argument("--geometry", choices=GEOMETRIES, default="small", help="of the backbone")
    arguments = parser.parse_args()
    if arguments.method is not None:
        print(json.dumps(measure(arguments.method, arguments.geometry)))
        return
    rows = []
    for method in METHODS:
        command = [sys.executable, "-m", "benchmarks.fit_memory", "--method", method, "--geometry", arguments.geometry]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows.append(
            {
                "method": method,
                "backbone, MB": found["backbone"],
                "peak of the fit above it, MB": found["above"],
                "in copies of the backbone": found["above"] / found["backbone"],
            }
        )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
