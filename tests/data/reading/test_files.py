"""Files of tables: recognised by their content, refused with a reason."""

import gzip
import re
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest

from tests.base.no_numbers import NO_NUMBERS
from tests.data.reading.frames import long_frame
from tracetune.base.errors import InputError
from tracetune.data.reading.options import ReadingOptions
from tracetune.data.reading.read import read_raw, read_table


def damaged(path):
    content = gzip.compress(long_frame(steps=500).to_csv().encode())
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("absent.csv", lambda path: None, "there is no such file"),
        ("table.xlsx", lambda path: path.write_bytes(b"x"), "cannot be read as xlsx: it does not begin like one"),
        ("table.exe", lambda path: path.write_bytes(b"x"), r"ending in one of \.csv, \.tsv, .*, found '\.exe'"),
        ("page.csv", lambda path: path.write_bytes(b"<!DOCTYPE html><html>"), "is a web page, not a table"),
        ("empty.csv", lambda path: path.write_bytes(b""), "found an empty file"),
        ("blank.csv", lambda path: path.write_bytes(b"\n\n"), "found no columns"),
        ("twice.csv", lambda path: path.write_text("date,a,a\n2024-01-01,1,2\n"), "column 'a' more than once"),
        ("cut.csv.gz", damaged, "cannot be read as text.*damaged or cut short"),
        ("cut.parquet", lambda path: path.write_bytes(b"PAR1 half"), "cannot be read as parquet"),
        (
            "binary.csv",
            lambda path: path.write_bytes(b"\xff\xfe\x00a"),
            "read as text|no columns|with rows",
        ),
        (
            "huge.json",
            lambda path: path.write_text(
                '[{"day": "2024-01-01", "y": 1}, {"day": "2024-01-02", "y": 1' + "0" * 400 + "}]"
            ),
            "int too large",
        ),
        ("deep.json", lambda path: path.write_text("[" * 100_000), "nested too deep"),
        ("list.json", lambda path: path.write_text("[1, 2]"), "Expected records"),
        ("folder.csv", lambda path: path.mkdir(), "that is a folder"),
        ("nul.csv", lambda path: path.write_bytes(b"date,y\n2024-01-01,1\n\0,2\n"), "holds a NUL byte in line 3"),
        (
            "ragged.csv",
            lambda path: path.write_text("date,a\n2024-01-01,1\n2024-01-02,1,2\n"),
            "expected 2 cells in each line as in the header, found 3 in line 3",
        ),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name)


@pytest.mark.parametrize(("kind", "row"), [("csv", 6), ("xlsx", 6), ("json", 5), ("parquet", 4)])
@pytest.mark.parametrize("cell", NO_NUMBERS)
def test_no_reader_takes_for_a_number_what_python_alone_does(tmp_path, kind, row, cell):
    frame = long_frame(steps=30).astype({"target": object, "timestamp": str})
    if kind == "parquet":  # a column has one type there
        frame = frame.astype({"target": str})
    frame.loc[4, "target"] = cell
    path = tmp_path / f"sales.{kind}"
    written = {
        "csv": partial(frame.to_csv, index=False),
        "xlsx": partial(frame.to_excel, index=False, engine="openpyxl"),
        "json": partial(frame.to_json, orient="records"),
        "parquet": frame.to_parquet,
    }
    written[kind](path)
    with pytest.raises(InputError, match=rf"must hold numbers, found '{re.escape(cell)}' in row {row} \(1 such"):
        read_table(path, ReadingOptions(target=("target",)))


def test_feather_and_open_document_tables_are_read(tmp_path):
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=40), "v": np.arange(40) % 7 + 0.5})
    frame.to_feather(tmp_path / "a.feather")
    _write_ods(tmp_path / "a.ods", frame)
    for name in ("a.feather", "a.ods"):
        reading = read_table(tmp_path / name)
        assert "daily (D), 2020-01-01 to 2020-02-09, 40 steps" in reading.line
        (values,) = reading.panel.series[0].values  # noqa: PD011
        assert values.tolist() == frame["v"].tolist()


def _write_ods(path, frame):
    """The smallest OpenDocument spreadsheet: no library here writes one."""
    cell = '<table:table-cell office:value-type="{}" {}><text:p>{}</text:p></table:table-cell>'
    rows = ["".join(cell.format("string", "", name) for name in frame.columns)]
    for day, value in zip(frame["date"].dt.strftime("%Y-%m-%d"), frame["v"], strict=True):
        date = cell.format("date", f'office:date-value="{day}"', day)
        rows.append(date + cell.format("float", f'office:value="{value}"', value))
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    names = {"office": "office", "table": "table", "text": "text"}
    spaces = " ".join(f'xmlns:{key}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for key, name in names.items())
    body = f'<office:body><office:spreadsheet><table:table table:name="a">{table}</table:table></office:spreadsheet>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        archive.writestr(
            "content.xml", f"<office:document-content {spaces}>{body}</office:body></office:document-content>"
        )


def test_steps_in_the_header_of_a_workbook_are_whole_numbers(tmp_path):
    """Workbooks hold numbers as fractions: the sheets of M3, with what they say of each series."""
    series = {"N0001": [940.5, 1084, 1244, 1445, 1683, 2038], "N0002": [1991, 2309, 2602]}
    rows = [[name, len(cells), 6, "MICRO", 1975, 1, *cells] for name, cells in series.items()]
    names = ["Series", "N", "NF", "Category", "Starting Year", "Starting Quarter", *range(1, 7)]
    pd.DataFrame(rows, columns=names).to_excel(tmp_path / "M3C.xlsx", index=False)
    reading = read_table(tmp_path / "M3C.xlsx")
    assert reading.panel.item_ids == tuple(series) and reading.panel.lengths == (6, 3)
    assert [name for name, _ in reading.understood.ignored] == names[1:6]


@pytest.mark.parametrize("cells", [("1.5e-02", "0.25", "-3.0"), ("  1.4000000e+00", "  2.5000000e+00", " 3.0")])
def test_a_column_of_numbers_alone_has_no_header(tmp_path, cells):
    """Files of the UCR archive of anomalies are such: their first value was the name of the channel."""
    path = tmp_path / "001_UCR_Anomaly_some_2_2_3.txt"
    path.write_text("\n".join(cells) + "\n")
    raw = read_raw(path, ReadingOptions())
    assert raw.frame.columns.tolist() == ["column_1"]
    assert raw.frame["column_1"].astype(float).tolist() == [float(cell) for cell in cells]


def test_whole_numbers_of_a_workbook_name_items_as_those_of_a_csv_file_do(tmp_path):
    days = pd.date_range("2023-01-01", periods=60).strftime("%Y-%m-%d")
    frame = pd.concat(
        [pd.DataFrame({"date": days, "store": store, "sales": np.arange(60) * 1.5 % 7}) for store in (1, 2)]
    )
    frame.to_excel(tmp_path / "sales.xlsx", index=False)
    frame.to_csv(tmp_path / "sales.csv", index=False)
    of_workbook, of_text = (read_table(tmp_path / name) for name in ("sales.xlsx", "sales.csv"))
    assert of_workbook.panel.item_ids == of_text.panel.item_ids == ("1", "2")
