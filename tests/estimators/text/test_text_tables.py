"""Texts and labels from tables: which column is what, and what is refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from tracetune.base.errors import InputError
from tracetune.data.text_files import read_text_table
from tracetune.estimators.text.text_tables import TextColumns, find_columns, table_of, texts_of_frame

SENTENCES = ["a good film", "a bad film", "the end is poor", "a lovely story"]


@pytest.mark.parametrize(
    ("columns", "texts", "label"),
    [
        ({"sentence": SENTENCES, "label": [1, 0, 0, 1]}, ("sentence",), "label"),
        ({"label_coarse": list("abab"), "label_fine": list("cdef"), "text": SENTENCES}, ("text",), "label_coarse"),
        (
            {"Quality": [1, 0, 1, 0], "#1 ID": [1, 2, 3, 4], "#1 String": SENTENCES, "#2 String": SENTENCES[::-1]},
            ("#1 String", "#2 String"),
            "Quality",
        ),
        ({"word": ["good", "bad", "poor", "fine"], "id": list("1234"), "kind": list("abba")}, ("word",), "kind"),
        ({"review": SENTENCES, "stars": [5, 1, 1, 5], "user": list("abab")}, ("review",), "stars"),
        ({"id": [1, 2, 3, 4], "what it says": SENTENCES, "stars": [5, 1, 1, 5]}, ("what it says",), "stars"),
    ],
)
def test_columns_are_found_and_said(columns: dict[str, Any], texts: tuple[str, ...], label: str) -> None:
    found = find_columns(pd.DataFrame(columns), None, None, labelled=True)
    assert (found.texts, found.label) == (texts, label)
    assert repr(label) in found.said and repr(texts[0]) in found.said
    assert not find_columns(pd.DataFrame(columns), texts, label, labelled=True).said


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"one": SENTENCES, "two": SENTENCES, "label": [1, 0, 0, 1]}, "Name it with text_column"),
        ({"sentence": SENTENCES, "a": [1, 0, 0, 1], "b": [1, 0, 0, 1]}, "Name it with label_column"),
        ({"number": [1, 2, 3, 4], "label": [1, 0, 0, 1]}, "Expected one column of texts"),
    ],
)
def test_what_can_be_two_is_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_columns(pd.DataFrame(columns), None, None, labelled=True)


def test_tables_of_any_kind() -> None:
    frame = table_of(pl.DataFrame({"text": SENTENCES, "label": ["b", "a", "a", "b"]}))
    assert frame is not None
    texts, labels = texts_of_frame(frame, find_columns(frame, "text", "label", labelled=True))
    assert texts.first == SENTENCES
    assert labels == ["b", "a", "a", "b"]
    assert table_of(SENTENCES) is None
    with pytest.raises(InputError, match="label in row 2 of column 'label'"):
        texts_of_frame(frame.assign(label=["b", "a", " ", "b"]), find_columns(frame, "text", "label", labelled=True))
    with pytest.raises(InputError, match="column 'body', found"):
        find_columns(frame, "body", None, labelled=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "text,label\na good film,1\n ,0\n", "text in row 3, found an empty one"),
        ("t.csv", "\n\ntext,label\na good film,1\nbad,\n", "label in row 5 of column 'label'"),
        ("t.jsonl", '{"text": "a good film", "label": 1}\n{"text": 5, "label": 0}\n', "text in row 2, found 5"),
        ("t.jsonl", '{"text": "a good film", "label": null}\n', "label in row 1 of"),
        ("t.csv", "text,label\nx y,1\nz y,\nw y,\n", "found an empty one. Leave the row out, and 1 more like it"),
        ("t.jsonl", '{"text": "a good film", "label": 1}\n{"text": null, "label": 0}', "text in row 2, found None"),
        ("t.json", '[{"text": "a good film", "label": [1, 2]}]', "as the label in row 1, found .1, 2."),
    ],
)
def test_rows_are_named_as_the_file_counts_them(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    frame = table_of(read_text_table(tmp_path / name))
    assert frame is not None
    with pytest.raises(InputError, match=message):
        texts_of_frame(frame, TextColumns(("text",), "label"))


def test_a_missing_cell_makes_no_other_column_of_texts() -> None:
    frame = pd.DataFrame({"body": ["a good film", None, "a bad film"], "label": [1, 0, 1]})
    assert find_columns(frame, None, None, labelled=True).texts == ("body",)


def test_one_column_is_not_both_text_and_label() -> None:
    frame = pd.DataFrame({"text": SENTENCES, "label": [1, 0, 0, 1]})
    with pytest.raises(InputError, match="'text' named for both"):
        find_columns(frame, "text", "text", labelled=True)
