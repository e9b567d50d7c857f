"""Settings under the names of other tools."""

import pytest

from tracetune.base.setting_names import SYNONYMS, near_settings, unknown_setting

KNOWN = ("prediction_length", "learning_rate", "head_learning_rate", "num_train_epochs", "quantiles", "seed")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("--horizon", ["prediction_length"]),
        ("lr", ["learning_rate"]),
        ("Epochs", ["num_train_epochs"]),
        ("sed", ["seed"]),
        ("quantile", ["quantiles"]),
        ("prediction", ["prediction_length"]),
        ("zzz", []),
    ],
)
def test_near_settings(name: str, nearest: list[str]) -> None:
    assert near_settings(name, KNOWN)[: len(nearest) or None] == nearest


def test_no_name_means_two_settings() -> None:
    names = [name for others in SYNONYMS.values() for name in others]
    assert len(names) == len(set(names))
    assert not set(names) & set(SYNONYMS)


def test_the_error_lists_what_there_is() -> None:
    assert str(unknown_setting("horizon", KNOWN)).startswith(
        "Unknown setting 'horizon'. Did you mean 'prediction_length'? Known: "
    )
