"""Every estimator says what it is in one line, and why scikit-learn's clone refuses it."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from transformers import BertConfig, BertModel, BertTokenizer

from tracetune import AnomalyDetector, Classifier, Forecaster, Imputer, InputError, TextClassifier
from tracetune.backbones.text_encoder import TextEncoder
from tracetune.base.json_types import JsonObject
from tracetune.estimators.described import Described

HOURS = pd.DataFrame(
    {"timestamp": pd.date_range("2024-01-01", periods=200, freq="h"), "load": np.sin(np.arange(200) * np.pi / 12)}
)


@cache
def bases() -> dict[str, Described]:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    shape = BertConfig(vocab_size=7, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    encoder = TextEncoder(BertModel(shape), BertTokenizer(vocab={word: at for at, word in enumerate(words)}))
    tiny: dict[str, str] = {"name_or_folder": "tracetune/tiny", "device": "cpu"}
    return {
        "forecaster": Forecaster.from_pretrained("tracetune/tiny", 24, 128, device="cpu"),
        "classifier": Classifier.from_pretrained(**tiny),
        "detector": AnomalyDetector.from_pretrained(**tiny),
        "imputer": Imputer.from_pretrained(**tiny),
        "texts": TextClassifier(encoder, "my own", 32, device="cpu"),
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("forecaster", "<Forecaster 'tracetune/tiny', prediction_length=24, context_length=128, not fitted>"),
        ("classifier", "<Classifier 'tracetune/tiny', context_length=512, not fitted>"),
        ("detector", "<AnomalyDetector 'tracetune/tiny', not fitted>"),
        ("imputer", "<Imputer 'tracetune/tiny', context_length=512, not fitted>"),
        ("texts", "<TextClassifier 'my own', max_length=32, not fitted>"),
    ],
)
def test_what_it_is_before_the_fit(name: str, line: str) -> None:
    assert repr(bases()[name]) == line


def test_what_it_is_after_the_fit() -> None:
    tuned = Forecaster.from_pretrained("tracetune/tiny", 8, 64, device="cpu").fit(HOURS, method="linear_probe")
    said = "fitted with linear_probe on 1 item (load), chosen: "
    assert repr(tuned).startswith(f"<Forecaster 'tracetune/tiny', prediction_length=8, context_length=64, {said}")


class _Fitted(Described):
    base_name = "tracetune/tiny"

    def __init__(self, trace: JsonObject) -> None:
        self.trace = trace


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (
            {"method": "trace", "winner": "head", "classes": ["0", "1"], "data": {"samples": 1200}, "channels": 1},
            "fitted with trace on 1,200 samples of 2 classes, chosen: head",
        ),
        (
            {
                "method": "lora",
                "winner": "lora",
                "classes": ["a"],
                "data": {"train_samples": 3, "validation_samples": 1},
            },
            "fitted with lora on 4 samples of 1 class, chosen: lora",
        ),
        ({"method": None, "data": {"items": 2}, "channels": list("abcd")}, "fitted on 2 items (a, b, c, ... 4 in all)"),
        ({"method": None}, "fitted on 0 items"),
    ],
)
def test_the_fit_in_words(trace: JsonObject, said: str) -> None:
    """By records as classifiers, classifiers of texts and imputers write them."""
    assert repr(_Fitted(trace)) == f"<_Fitted 'tracetune/tiny', {said}>"


@pytest.mark.parametrize("name", ["forecaster", "classifier", "detector", "imputer", "texts"])
def test_clone_is_refused_with_what_to_do(name: str) -> None:
    """scikit-learn would fit a clone in place and go on with that: an untrained model would be scored."""
    with pytest.raises(InputError, match=r"fit of \w+ returns a new \w+ .* copy.deepcopy"):
        clone(bases()[name])
