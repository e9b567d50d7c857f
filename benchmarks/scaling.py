"""What more pretraining buys: frozen-feature errors and pretraining loss against the number of windows seen.

Takes snapshots of pretraining, a folder with a subfolder per number of windows, as ``tracetune pretrain`` writes with
``snapshots`` in its configuration (of several cycles, links named by the windows of all of them). A subfolder holds a
model, or only the model.safetensors of a Trainer checkpoint, which is read with the geometry of --geometry. Snapshots
are taken in the middle of a one-cycle schedule, at a high learning rate: the curve shows a run as it goes, and lies
above what separate runs of each budget would reach.

    python -m benchmarks.scaling --model runs/tiny --snapshots runs/tiny/snapshots
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors.torch import load_file

from benchmarks.common import Results, Row, grouped
from benchmarks.frozen_features import add_flags, frozen_row, thinned_case
from tracetune.backbones.loading import load_backbone, weights_digest
from tracetune.base.errors import InputError
from tracetune.base.files import staged_file
from tracetune.report.tables import markdown_table


def load_snapshot(folder: Path, geometry: str) -> Any:
    """Return the backbone in a folder: a saved model, or the weights of a Trainer checkpoint of pretraining."""
    if (folder / "config.json").is_file():
        return load_backbone(folder)
    backbone = load_backbone(geometry)
    state = load_file(folder / "model.safetensors")
    backbone.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in state.items()})
    return backbone.eval()


def snapshot_folders(folder: Path) -> dict[int, Path]:
    """Return folders of snapshots by the number of windows seen, in ascending order.

    Raises:
        InputError: there is none.
    """
    found = {int(path.name): path for path in folder.glob("*/") if path.name.isdecimal()}
    if not found:
        raise InputError(f"Expected subfolders named by numbers of windows in {folder}, found none.")
    return dict(sorted(found.items()))


def markdown(rows: list[Row]) -> str:
    """Return test MSE by windows seen (lines) and data set (columns), and the picture."""
    lines = []
    for (windows,), group in grouped(sorted(rows, key=lambda row: row["windows"]), "windows"):
        lines.append(
            {
                "windows seen": windows,
                **{row["dataset"]: row["mse"] for row in group},
                "mean test MSE": float(np.mean([row["mse"] for row in group])),
                "mean validation MSE": float(np.mean([row["validation"] for row in group])),
            }
        )
    return (
        "Test MSE of the head chosen on validation, on frozen features of snapshots on the way of pretraining "
        "(H = 96, context 512).\n\n"
        f"{markdown_table(lines)}\n\n![Error against windows seen](scaling.png)"
    )


def plot(path: Path, rows: list[Row]) -> None:
    """Draw validation and test error of each data set, relative to the first snapshot, against windows seen."""
    figure = Figure(figsize=(6.5, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (dataset,), group in grouped(sorted(rows, key=lambda row: row["windows"]), "dataset"):
        windows = [row["windows"] for row in group]
        for part, key, style in (("validation", "validation", "-"), ("test", "mse", ":")):
            errors = np.array([row[key] for row in group])
            axes.plot(windows, errors / errors[0], style, marker="o", markersize=3.5, label=f"{dataset}, {part}")
    counts = sorted({row["windows"] for row in rows})
    axes.set_xscale("symlog", linthresh=10_000)
    axes.set_xticks(counts, [f"{count / 1e6:.3g} M" for count in counts], rotation=45)
    axes.minorticks_off()
    axes.set(xlabel="synthetic windows seen", ylabel="MSE, first snapshot = 1")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    with staged_file(path) as temporary:
        figure.savefig(temporary)


def main() -> None:
    """Run all snapshots on all data sets; rows that are there already are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tracetune/tiny", help="the finished model, which the results belong to")
    parser.add_argument("--snapshots", required=True)
    parser.add_argument("--geometry", default="tracetune/tiny", help="model with the geometry of the checkpoints")
    add_flags(parser)
    parser.add_argument("--output", default="docs/results/scaling")
    arguments = parser.parse_args()
    results = Results(
        "scaling", arguments, load_backbone(arguments.model), markdown, ("windows", "dataset"),
        cases=("datasets", "snapshots", "output"),
    )  # fmt: skip
    for dataset in arguments.datasets:
        case = thinned_case(dataset, arguments)
        for windows, folder in snapshot_folders(Path(arguments.snapshots)).items():
            if results.find(windows=windows, dataset=dataset) is not None:
                continue
            backbone = load_snapshot(folder, arguments.geometry)
            row = frozen_row(case, backbone, arguments.sgd_epochs)
            results.add({"windows": windows, "dataset": dataset, "weights": weights_digest(backbone), **row})
            plot(Path(arguments.output).with_suffix(".png"), results.rows)


if __name__ == "__main__":
    main()
