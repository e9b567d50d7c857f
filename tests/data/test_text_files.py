"""Tables of texts: cells as they are written, quotes, files without a header."""

import gzip
import json
import logging
from pathlib import Path

import pandas as pd
import pytest

from tracetune.base.errors import InputError
from tracetune.data.text_files import marks_of, read_text_table
from tracetune.data.text_marks import COMMAS_AND_POINTS, TextMarks

TEXTS = ["1,5 percent, or NA", 'He said "no".', "2024-01-01 is a date", "nothing"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz"])
def test_what_was_written_comes_back(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"text": TEXTS, "label": ["NA", "0", "1", "null"]})
    path = tmp_path / name
    if name.endswith("jsonl"):
        frame.to_json(path, orient="records", lines=True)
    elif name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    pd.testing.assert_frame_equal(read_text_table(path), frame, check_dtype=False)


def test_quotes_that_are_not_closed_are_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "mrpc.tsv"
    path.write_text('Quality\tone\ttwo\n1\t"It is , " he said .\tHe said "it is\n0\tplain\t"open\n', "utf-8-sig")
    found = read_text_table(path)
    assert found["one"].tolist() == ['"It is , " he said .', "plain"]
    assert found["two"].tolist() == ['He said "it is', '"open']
    assert list(found.columns) == ["Quality", "one", "two"]


def test_cells_of_tabs_may_hold_ends_of_lines_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    frame = pd.DataFrame({"text": ["over two\nlines", 'a "bad" film', "a\ttab", "plain"], "label": list("abab")})
    frame.to_csv(path, index=False, sep="\t")
    pd.testing.assert_frame_equal(read_text_table(path), frame, check_dtype=False)
    path.write_text('text\tlabel\n"open\t1\nshut"\t0\n')  # as many cells in each line: quotes are part of the text
    assert read_text_table(path)["text"].tolist() == ['"open', 'shut"']


def test_a_file_without_a_header_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "train.tsv.gz"
    path.write_bytes(gzip.compress(b"a good film\t1\na bad film\t0\nthe end\t1\n"))
    with caplog.at_level(logging.WARNING):
        found = read_text_table(path)
    assert found.to_dict("list") == {"column 1": ["a good film", "a bad film", "the end"], "column 2": ["1", "0", "1"]}
    assert "has no header" in caplog.text
    path.write_bytes(gzip.compress(b"good film;pos\nbad film;neg\nthe end;pos\nan end;pos\n"))
    assert len(read_text_table(path)) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n", "Expected rows"),
        ("\ntext,label\na,b,c\n", "cannot be cut into cells: line 3 has 3 of them, the lines before 2. Put quotes"),
        ('text,label\na,b\n"c,d\n', "a quote in line 3 is never closed"),
        ("", "empty file"),
        ("text,label\na good\0 film,1\n", "NUL byte in line 2"),
        ("text,text,label\na film,a story,1\n", "distinct column names, found column 'text' more than once"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_text_table(path)
    (tmp_path / "t.jsonl").write_text(json.dumps({"a": 1}) + "\nnonsense\n")
    with pytest.raises(InputError):
        read_text_table(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("content", "marks"),
    [
        ("text;price\nein Föhn;12,50\nein Öl;\n", TextMarks(";", ",")),
        ("text;price\nein Föhn, rot;12.50\n", TextMarks(";", ".")),
        ("text,price\nein Föhn,12.50\n", COMMAS_AND_POINTS),
        ('text,price\nein Föhn,"12,50"\n', COMMAS_AND_POINTS),
        ("text\tprice\nein Föhn\t12,50\n", TextMarks("\t", ",")),
    ],
)
def test_the_marks_of_a_file_are_known(tmp_path: Path, content: str, marks: TextMarks) -> None:
    (tmp_path / "t.csv").write_bytes(content.encode("cp1252"))
    frame = read_text_table(tmp_path / "t.csv")
    assert marks_of(frame) == marks
    frame.to_parquet(tmp_path / "t.parquet")
    assert marks_of(read_text_table(tmp_path / "t.parquet")) == COMMAS_AND_POINTS


def test_the_encoding_is_said_where_it_was_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(("text,label\n" + "a good film,yes\n" * 30_000 + "un niño naïf,no\n").encode("cp1252"))
    assert read_text_table(path)["text"].iloc[-1] == "un niño naïf"
    assert "is read in encoding cp1252: bytes do not fit UTF-8" in caplog.text
    caplog.clear()
    path.write_bytes("text,label\nun niño naïf,no\n".encode("utf-16"))
    assert read_text_table(path)["text"].iloc[-1] == "un niño naïf"
    assert not caplog.text


def test_an_encoding_that_is_given_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes("text,label\nkůň,no\nkoza,yes\n".encode("cp1250"))
    assert read_text_table(path)["text"].iloc[0] == "kùò"
    assert "'kùò' would be 'kůň' with encoding='cp1250'. Where letters come out wrong, name another" in caplog.text
    assert read_text_table(path, "cp1250")["text"].iloc[0] == "kůň"
    with pytest.raises(InputError, match=r"Expected text in encoding utf-8 .* bytes that it does not have \(0xF9\)"):
        read_text_table(path, "utf-8")


def test_quotes_with_a_backslash_before_them_are_quotes(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('text,label\n"he said \\"hi, you\\" twice",yes\n"no, never",no\n')
    assert read_text_table(path)["text"].tolist() == ['he said "hi, you" twice', "no, never"]
    path.write_text('text,label\n"in C:\\dir\\",yes\nno \\"quotes\\",no\n')
    assert read_text_table(path)["text"].tolist() == ["in C:\\dir\\", 'no \\"quotes\\"']
