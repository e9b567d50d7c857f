"""The archive's layout, and a table of what was measured."""

from pathlib import Path

import numpy as np
from benchmarks.classification_archive import cell, sets, table


def write_set(folder: Path, name: str, labels: list[int], gap: bool = False) -> None:
    (folder / name).mkdir()
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        rows = np.stack([[label, *np.sin(np.arange(40) * (0.2 + label)) + rng.normal(0, 0.1, 40)] for label in labels])
        if gap:
            rows[0, -1] = np.nan
        np.savetxt(folder / name / f"{name}_{part}.tsv", rows, delimiter="\t")


def test_sets_that_are_whole_are_measured(tmp_path: Path) -> None:
    write_set(tmp_path, "Waves", [1, 2] * 12)
    write_set(tmp_path, "Gaps", [1, 2] * 12, gap=True)
    write_set(tmp_path, "Single", [1, 1, 1, 2])
    ((name, train, test),) = sets(tmp_path, (20, 10))
    assert (name, len(train.labels), len(test.labels)) == ("Waves", 20, 10)
    assert train.values[0].shape == (1, 40)
    found = cell(name, train, test, "linear_probe", "tracetune/tiny")
    assert found["accuracy"] == 1.0
    row, mean = table([found], {"Waves": 0.5, "Elsewhere": 0.0})
    assert row["series"] == "20 and 10"
    assert row["linear_probe"] == mean["linear_probe"]
    assert mean["other"] == "0.5000"
