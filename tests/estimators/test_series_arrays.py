"""Arrays with time before channels: refused or said by their shapes, the same for every estimator that takes arrays."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tracetune import AnomalyDetector, Classifier, Forecaster, InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.estimators.anomaly.frames import panel_of, require_channels
from tracetune.estimators.labelled import checked_samples, class_numbers
from tracetune.estimators.series_arrays import numbers_of, question_order

TIME_FIRST = np.random.default_rng(0).normal(size=(300, 3))
TURNED = r"found \[300, 3\]: 300 channels of 3 steps.*array\.T.*swapaxes\(1, 2\).*give a table"


def test_time_first_is_refused_by_every_estimator(base_folder: str) -> None:
    labels = ["a", "b"] * 2
    with pytest.raises(InputError, match=TURNED):
        AnomalyDetector.from_pretrained(base_folder, device="cpu").fit(TIME_FIRST)
    with pytest.raises(InputError, match=TURNED):
        Classifier.from_pretrained(base_folder, device="cpu").fit(np.stack([TIME_FIRST] * 4), labels)
    forecaster = Forecaster.from_pretrained(base_folder, 4, device="cpu")
    for values in ([TIME_FIRST], np.stack([TIME_FIRST] * 2), iter([TIME_FIRST])):
        with pytest.raises(InputError, match=TURNED):
            next(forecaster.predict_arrays(values))


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 300)],
        [(1, 1)],
        [(7, 7)],
        [(963, 144)] * 2,  # PEMS-SF
        [(1345, 270)],  # DuckDuckGeese
        [(30, 2), (30, 1000)],  # a young item of a panel
        [(19, 1)],
        [(300,)],  # refused elsewhere, in its own words
        [],
    ],
)
def test_honest_panels_are_read(shapes: list[tuple[int, ...]]) -> None:
    question_order(shapes)


@pytest.mark.parametrize(("shape", "said"), [((24, 12), True), ((12, 24), False), ((12, 12), False)])
def test_more_channels_than_steps_are_said(
    shape: tuple[int, int], said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        checked_samples(np.zeros((2, *shape)))
    assert ("read as 24 channels of 12 steps; time first" in caplog.text) == said


def test_tables_know_channels_from_steps() -> None:
    assert len(checked_samples([TIME_FIRST], of_table=True)) == 1


def test_known_channels_tell_of_the_other_axis() -> None:
    with pytest.raises(InputError, match=r"Expected 3 channels.*found 300\. .*If its 3 channels are in the second"):
        checked_samples([TIME_FIRST], 3)
    with pytest.raises(InputError, match=r"found 200\. .*If its 3 channels are in the second axis"):
        checked_samples([TIME_FIRST, TIME_FIRST[:200]])
    with pytest.raises(InputError, match=r"Expected the 3 channels .*second axis.*array\.T"):
        require_channels(panel_of(TIME_FIRST, remembered=panel_options()), ("0", "1", "2"))
    with pytest.raises(InputError, match=r"found 4: 0, 1, 2, 3\. Leave.*that there are\.$"):
        require_channels(panel_of(np.zeros((4, 99)), remembered=panel_options()), ("0", "1", "2"))


def test_one_new_step_of_many_channels_is_no_doubt() -> None:
    assert panel_of(np.zeros((30, 1)), remembered=panel_options()).lengths == (1,)


def panel_options() -> ReadingOptions:
    """Return how the table was read of a detector that has learned arrays."""
    return ReadingOptions()


def test_what_is_masked_or_na_is_missing() -> None:
    masked = np.ma.masked_array([[1.0, -999.0, 3.0]], mask=[[False, True, False]])
    nullable = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")}).T
    for given in (masked, nullable, nullable.to_numpy(), [[1.0, None, 3.0]]):
        np.testing.assert_array_equal(numbers_of(given, 0), [[1.0, np.nan, 3.0]])


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([[1 + 2j]]), "complex numbers"),
        (np.array([["2024-01-01"]], dtype="datetime64[D]"), "dates"),
        (np.array([[5]], dtype="timedelta64[h]"), "durations"),
    ],
)
def test_what_numpy_would_make_numbers_of_in_silence_is_refused(array: np.ndarray, found: str) -> None:
    with pytest.raises(InputError, match=f"in series 2, found {found}"):
        numbers_of(array, 2)


@pytest.mark.parametrize("data", [None, 5])
def test_what_is_no_series_at_all_is_refused_in_words(data: Any) -> None:
    with pytest.raises(InputError, match="Expected an array"):
        checked_samples(data)


@pytest.mark.parametrize("label", ["", " ", None, np.nan, pd.NA])
def test_a_label_that_says_nothing_is_missing(label: Any) -> None:
    with pytest.raises(InputError, match="found none for series 1"):
        class_numbers(["a", label, "b"], 3, None)


def test_masked_labels_are_missing_and_bytes_are_text() -> None:
    with pytest.raises(InputError, match="found none for series 1"):
        class_numbers(np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]), 3, None)
    assert class_numbers(np.array([b"walk", b"run"]), 2, None)[1] == ["run", "walk"]  # as scipy reads ARFF files
