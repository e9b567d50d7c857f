"""Names of months: no name stands for two months, dates are told from other words."""

import pandas as pd
import pytest

from tracetune.data.reading.times import month_names
from tracetune.data.reading.times.month_names import in_english, month_number, without_accents


def test_no_name_is_two_months() -> None:
    numbers: dict[str, set[int]] = {}
    for number, names in enumerate(month_names._NAMES, 1):
        for name in names.split():
            for written in (name, without_accents(name)):
                numbers.setdefault(written, set()).add(number)
    assert [name for name, found in numbers.items() if len(found) > 1] == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("März", 3),
        ("mrz", 3),
        ("AOÛT", 8),
        ("fevrier", 2),
        ("Sept.", 9),
        ("październik", 10),
        ("мая", 5),
        ("sales", None),
    ],
)
def test_a_month_by_its_name(name: str, number: int | None) -> None:
    assert month_number(name) == number


def test_dates_are_put_into_english() -> None:
    cells = pd.Series(["lundi 1er janvier 2024", "jeudi 1 février 2024"])
    assert in_english(cells).tolist() == ["1 January 2024", "1 February 2024"]
    cells = pd.Series(["3. Mai 2024", "4. Juni 2024"])
    assert in_english(cells).tolist() == ["3. May 2024", "4. June 2024"]


@pytest.mark.parametrize("cells", [["set 10", "set 11"], ["mayo 2024", "pan 2024"]])
def test_other_words_are_no_months(cells: list[str]) -> None:
    """One word beside numbers may be anything; a word that names no month makes a column no dates."""
    assert in_english(pd.Series(cells)) is None
