"""Runs of every task for `benchmarks.reliability`: tiny models with random weights, small tables, and their flags."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tracetune.backbones.moment import Moment, MomentConfig

MODEL = "model"  # folder of the model of series
_ENCODER = "encoder"
_TRACE = ["--method", "trace", "--warmup-steps", "2", "--interval", "3", "--cost-share", "1"]
_ADAPTERS = ["--method", "lora"]
_UNTRAINED_HEAD = ["--start", "zero-shot"]
_SHORT = ["--device", "cpu", "--head-epochs", "1", "--batch-size", "16", "--learning-rate", "3e-3"]


@dataclass(frozen=True)
class Case:
    """A run that is interrupted.

    Attributes:
        task: as the command line names it.
        flags: method, and what is particular to the case.
    """

    task: str
    flags: list[str]

    def command(self, folder: Path) -> list[str]:
        """Return the arguments of the command line, without places to write to, for the inputs in ``folder``."""
        model = folder / (_ENCODER if self.task == "text" else MODEL)
        read = [str(folder / f"{self.task}.csv"), "--task", self.task, "--model", str(model)]
        return ["finetune", *read, *_SHORT, *_OF_TASK[self.task], *self.flags]


_OF_TASK = {
    "forecasting": [
        "--prediction-length", "12", "--context-length", "64", "--validation-windows", "32", "--max-steps", "20",
    ],
    "imputation": ["--context-length", "64", "--max-steps", "12"],
    "classification": ["--context-length", "64", "--folds", "2", "--max-steps", "8"],
    "anomaly": ["--scorer", "reconstruction", "--max-steps", "12"],
    "text": ["--max-steps", "12"],
}  # fmt: skip
CASES = {
    "checkpoints": Case("forecasting", [*_ADAPTERS, *_UNTRAINED_HEAD]),
    "head and adapters": Case("forecasting", [*_ADAPTERS, "--start", "head"]),
    "rate auto": Case("forecasting", [*_ADAPTERS, *_UNTRAINED_HEAD, "--learning-rate", "auto"]),
    "rounds": Case("forecasting", [*_TRACE, *_UNTRAINED_HEAD]),
    "keep auto": Case("forecasting", [*_TRACE, *_UNTRAINED_HEAD, "--keep", "auto"]),
    "time budget": Case("forecasting", [*_TRACE, *_UNTRAINED_HEAD, "--budget-unit", "time"]),
    "ranks": Case("forecasting", ["--method", "adalora", *_UNTRAINED_HEAD]),
    "imputation": Case("imputation", _ADAPTERS),
    "imputation, rounds": Case("imputation", _TRACE),
    "classification": Case("classification", _ADAPTERS),
    "classification, rounds": Case("classification", _TRACE),
    "anomaly detection": Case("anomaly", _TRACE),
    "texts": Case("text", _ADAPTERS),
    "texts, rounds": Case("text", _TRACE),
}


def save_inputs(folder: Path) -> None:
    """Write a model of series and one of texts with random weights, and a table for each task."""
    torch.manual_seed(0)
    blocks = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    config = MomentConfig(
        t5_config={**blocks, "feed_forward_proj": "gated-gelu", "dropout_rate": 0.0},
        seq_len=64,
        patch_len=8,
        partial_patches="fill",
    )
    Moment(config).save_pretrained(folder / MODEL)
    _save_encoder(folder / _ENCODER)
    random, steps = np.random.default_rng(0), np.arange(240)
    tables = [
        pd.DataFrame({
            "item_id": f"item{item}",
            "timestamp": pd.date_range("2024-01-01", periods=len(steps), freq="h"),
            "target": np.sin(2 * np.pi * (steps + 5 * item) / 24) + 0.1 * random.normal(size=len(steps)),
        })
        for item in range(2)
    ]  # fmt: skip
    series = pd.concat(tables)
    for task in ("forecasting", "anomaly"):
        series.to_csv(folder / f"{task}.csv", index=False)
    series.assign(target=series["target"].where(random.random(len(series)) > 0.1)).to_csv(
        folder / "imputation.csv", index=False
    )
    _waves(random).to_csv(folder / "classification.csv", index=False)
    _sentences(random).to_csv(folder / "text.csv", index=False)


_GOOD, _BAD, _OTHER = ("good", "great", "fine"), ("bad", "dull", "poor"), ("the", "film", "story", "was", "very")


def _waves(random: np.random.Generator, count: int = 48, length: int = 64) -> pd.DataFrame:
    labels = np.arange(count) % 2
    phases = random.uniform(0, 2 * np.pi, (count, 1))
    values = np.sin(np.arange(length) / (2 + 2 * labels[:, None]) + phases) + random.normal(size=(count, length))
    frame = pd.DataFrame(values.round(4), columns=[f"t{step}" for step in range(length)])
    return frame.assign(label=np.where(labels == 1, "slow", "fast"))


def _sentences(random: np.random.Generator, count: int = 64) -> pd.DataFrame:
    rows = []
    for number in range(count):
        words = [*random.choice(_OTHER, size=5), random.choice(_GOOD if number % 2 else _BAD)]
        rows.append({"text": " ".join(random.permutation(words)), "label": "positive" if number % 2 else "negative"})
    return pd.DataFrame(rows)


def _save_encoder(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_GOOD, *_BAD, *_OTHER]
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=34, **sizes)).save_pretrained(folder)
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", model_max_length=32
    ).save_pretrained(folder)
