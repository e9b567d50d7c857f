# ruff: noqa: E501 - a table with a row a line
"""Small tables as forecasters have them, one a trait, and what must be understood of each."""

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

RNG = np.random.default_rng(0)
VALUES = np.round(RNG.normal(50, 9, 2000), 2)


@dataclass(frozen=True)
class Example:
    """A table and what is to be understood of it.

    Attributes:
        trait: what is special about it.
        make: writes it into a folder and returns its path, or returns a frame.
        expected: attributes of the panel: items, channels, freq, lengths, first (timestamp), values (of the first
            channel of the first series, from its start).
        hint: the option that the message must name and that is then given; None where none is needed.
        refused: what the message says where a table is refused for good; "" where it is read.
        said: part of a note or a warning.
    """

    trait: str
    make: Callable[[Path], Any]
    expected: dict[str, Any] = field(default_factory=dict)
    hint: dict[str, Any] | None = None
    refused: str = ""
    said: str = ""


def stamps(steps: int = 40, freq: str = "D", start: str = "2020-01-01", form: str = "%Y-%m-%d") -> list[str]:
    return list(pd.date_range(start, periods=steps, freq=freq).strftime(form))


def series(steps: int = 40) -> list[float]:
    return VALUES[:steps].tolist()


def text(
    name: str, columns: dict[str, Any], separator: str = ",", before: str = "", after: str = "", encoding: str = "utf-8"
) -> Callable[[Path], Path]:
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    content = (before + "\n".join(lines) + "\n" + after).encode(encoding)
    return raw(name, content)


def raw(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def csv(name: str, frame: pd.DataFrame) -> Callable[[Path], Path]:
    return raw(name, frame.to_csv(index=False).encode())


def workbook(name: str, frame: pd.DataFrame) -> Callable[[Path], Path]:
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False, engine="openpyxl")
    return raw(name, buffer.getvalue())


def long(keys: dict[str, list[Any]], steps: int = 30, **columns: Any) -> pd.DataFrame:
    """A long table of items named by ``keys``, one below the other."""
    names = pd.MultiIndex.from_product(keys.values(), names=list(keys))
    frames = [
        pd.DataFrame(
            {
                **dict(zip(keys, key, strict=True)),
                "date": stamps(steps),
                "sales": VALUES[place * steps : (place + 1) * steps],
            }
        )
        for place, key in enumerate(names)
    ]
    return pd.concat(frames, ignore_index=True).assign(**columns)


def zoned(freq: str, start: str, steps: int, zone: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(
        [
            pd.Timestamp(at).tz_localize(zone, nonexistent="shift_forward")
            for at in pd.date_range(start, periods=steps, freq=freq)
        ]
    )


def packed(name: str) -> Callable[[Path], Path]:
    content = pd.DataFrame({"date": stamps(), "y": series()}).to_csv(index=False).encode()
    if name.endswith(".gz"):
        return raw(name, gzip.compress(content))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.csv", content)
    return raw(name, buffer.getvalue())


def bikes() -> pd.DataFrame:
    days = pd.date_range("2011-01-01", periods=200)
    columns = {
        "instant": range(1, 201),
        "dteday": days.strftime("%Y-%m-%d"),
        "season": days.month % 12 // 3 + 1,
        "yr": 0,
        "mnth": days.month,
    }
    columns |= {
        "holiday": (np.arange(200) % 40 == 16).astype(int),
        "weekday": (days.dayofweek + 1) % 7,
        "workingday": (days.dayofweek < 5).astype(int),
    }
    return pd.DataFrame({**columns, "cnt": (VALUES[:200] * 100).astype(int)})


def air(steps: int = 120) -> pd.DataFrame:
    hours = pd.date_range("2004-03-10 18:00", periods=steps, freq="h")
    frame = pd.DataFrame({"Date": hours.strftime("%d/%m/%Y"), "Time": hours.strftime("%H.%M.%S"), "CO": VALUES[:steps]})
    frame["CO"] = frame["CO"].map(lambda value: f"{value:.2f}".replace(".", ","))
    frame.loc[[4, 5, 77], "CO"] = "-200"
    return frame.assign(a="", b="")


def walmart() -> pd.DataFrame:
    fridays = stamps(60, "W-FRI", "2010-02-05", "%d-%m-%Y")
    rows = [
        (store, day, VALUES[60 * store + at] * 1e4, at % 9 == 0, VALUES[at])
        for store in (1, 2, 3)
        for at, day in enumerate(fridays)
    ]
    frame = pd.DataFrame(rows, columns=["Store", "Date", "Weekly_Sales", "Holiday_Flag", "Temperature"])
    return frame.assign(Holiday_Flag=frame["Holiday_Flag"].astype(int))


def one_row_each(names: list[str], rows: int = 4) -> pd.DataFrame:
    return pd.DataFrame(VALUES[: rows * len(names)].reshape(rows, -1), columns=names)


def unordered_load() -> pd.DataFrame:
    hours = pd.date_range("2002-01-01 01:00", periods=200, freq="h")
    frame = pd.DataFrame({"Datetime": hours.strftime("%Y-%m-%d %H:%M:%S"), "PJME_MW": VALUES[:200]})
    return pd.concat([frame[100:], frame[:100], frame[30:31]])


def weather_twice() -> pd.DataFrame:
    hours = pd.date_range("2012-10-02 09:00", periods=100, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    frame = pd.DataFrame(
        {"weather": RNG.choice(["Clouds", "Rain", "Mist"], 100), "date_time": hours, "traffic_volume": VALUES[:100]}
    )
    return pd.concat([frame, frame.iloc[[5, 6, 50]].assign(weather="Fog")]).sort_values("date_time")


def shops_newest_first() -> pd.DataFrame:
    frame = long({"Store": [1, 2, 3]}).assign(
        DayOfWeek=lambda f: pd.to_datetime(f["date"]).dt.dayofweek + 1, Open=1, Customers=VALUES[100:190]
    )
    return frame.sort_values(["date", "Store"], ascending=[False, True])


def households() -> pd.DataFrame:
    minutes = pd.date_range("2006-12-16 17:24", periods=900, freq="min")
    frame = pd.DataFrame(
        {
            "Date": minutes.strftime("%-d/%-m/%Y"),
            "Time": minutes.strftime("%H:%M:%S"),
            "power": [f"{v / 100:.3f}" for v in VALUES[:900]],
            "Voltage": [f"{v + 200:.3f}" for v in VALUES[:900]],
        }
    )
    frame.loc[100:110, ["power", "Voltage"]] = "?"
    return frame


def hour_repeated() -> pd.DataFrame:
    local = pd.date_range("2023-10-28", periods=72, freq="h", tz="Europe/Berlin").tz_localize(None)
    return pd.DataFrame({"Datetime": local.strftime("%Y-%m-%d %H:%M:%S"), "MW": VALUES[:72]})


def uneven() -> pd.DataFrame:
    moments = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.cumsum(RNG.integers(60, 9000, 100)), unit="s")
    return pd.DataFrame({"time": moments.astype(str), "value": VALUES[:100]})


def jittered() -> pd.DataFrame:
    moments = pd.date_range("2020-01-01", periods=100, freq="10min") + pd.to_timedelta(
        RNG.integers(-5, 6, 100), unit="s"
    )
    return pd.DataFrame({"time": moments.astype(str), "value": VALUES[:100]})


BERLIN_DAYS = zoned("D", "2023-10-20 06:00", 30, "Europe/Berlin")
SANTIAGO = zoned("D", "2023-08-20", 30, "America/Santiago")
MONDAYS = zoned("W-MON", "2023-09-04 09:00", 30, "Europe/Berlin")
HOURS = pd.date_range("2023-10-28", periods=72, freq="h", tz="Europe/Berlin")
NO_SUNDAYS = [day for day in stamps(60) if pd.Timestamp(day).dayofweek < 6]
MONTHS = stamps(144, "MS", "2009-01-01", "%d/%m/%Y")
YMDH = pd.date_range("2010-01-01", periods=100, freq="h")
GERMAN_SHORT = ["Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]
GERMAN = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
]
FRENCH = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
SPANISH = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
]
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAILY = {"freq": "D", "lengths": (40,), "first": "2020-01-01", "values": series(3)}

EXAMPLES = {
    # Dialect
    "plain": Example("commas, ISO dates", text("a.csv", {"date": stamps(), "y": series()}), DAILY),
    "semicolons": Example(
        "semicolons, decimal commas, 31.12.2020",
        text("a.csv", {"Datum": stamps(form="%d.%m.%Y"), "Wert": [f"{v:.2f}".replace(".", ",") for v in series()]}, ";"),
        DAILY,
    ),
    "tabs": Example("tabs, .tsv", text("a.tsv", {"Date": stamps(), "v": series()}, "\t"), DAILY),
    "blanks": Example("blanks between cells, .txt", text("a.txt", {"Date": stamps(), "v": series()}, " "), DAILY),
    "bars": Example("bars between cells", text("a.csv", {"Date": stamps(), "v": series()}, "|"), DAILY),
    "gz": Example(".csv.gz", packed("a.csv.gz"), DAILY),
    "zip": Example(".zip with one table", packed("a.zip"), DAILY),
    "xlsx": Example(".xlsx", workbook("a.xlsx", pd.DataFrame({"date": pd.to_datetime(stamps()), "y": series()})), DAILY),
    "xlsx named csv": Example("a workbook called .csv", workbook("a.csv", pd.DataFrame({"date": stamps(), "y": series()})), DAILY),
    "json lines": Example(".jsonl", raw("a.jsonl", pd.DataFrame({"date": stamps(), "y": series()}).to_json(orient="records", lines=True).encode()), DAILY),
    "latin": Example(
        "Latin encoding, umlauts", text("a.csv", {"Datum": stamps(), "Größe": series()}, encoding="latin1"), DAILY | {"channels": ("Größe",)}, said="encoding"
    ),
    "utf-16": Example("UTF-16 with its mark", text("a.csv", {"Datum": stamps(), "Größe": series()}, encoding="utf-16"), DAILY),
    "bom": Example("UTF-8 with a byte order mark", text("a.csv", {"date": stamps(), "y": series()}, encoding="utf-8-sig"), DAILY),
    "comments": Example("comment lines above the header", text("a.csv", {"date": stamps(), "y": series()}, before="# made by X\n# 2024\n"), DAILY),
    "preamble": Example("a line of source above the header", text("a.csv", {"date": stamps(), "y": series()}, before="Source: World\n\n"), DAILY, said="before the header"),
    "total row": Example("a row of totals below", text("a.csv", {"date": stamps(), "y": series()}, after="Total,1999.5\n"), DAILY, said="at the end"),
    "question marks": Example(
        "? and NA for missing", text("a.csv", {"date": stamps(), "y": [*series(3), "?", "NA", *series(35)]}), {"freq": "D", "missing": 2}
    ),
    "no header": Example("no header", text("a.csv", dict(zip(["2019-12-31", "1.5"], [stamps(), series()], strict=True))), {"freq": "D", "lengths": (41,)}, said="no header"),
    "thousands": Example(
        "1,234 that may be either", raw("a.csv", ("date;n\n" + "\n".join(f"{d};1,{100 + i}" for i, d in enumerate(stamps()))).encode()),
        DAILY | {"values": [1100.0, 1101.0, 1102.0]}, hint={"thousands": ","},
    ),
    "millions": Example(
        "1.234.567,8", text("a.csv", {"date": stamps(), "n": [f"1.234.{100 + i},5" for i in range(40)]}, ";"), DAILY | {"values": [1234100.5, 1234101.5]}
    ),
    "sentinel": Example("-200 for missing, date and clock time apart", lambda folder: raw("a.csv", air().to_csv(index=False, sep=";").replace(";a;b", ";;").encode())(folder),
                        {"freq": "h", "first": "2004-03-10 18:00", "channels": ("CO",)}, said="-200"),
    # Dates
    "day first months": Example("01/02/2009 is a month: monthly is regular, daily is not", text("a.csv", {"date": MONTHS, "sales": VALUES[:144]}), {"freq": "MS", "lengths": (144,), "first": "2009-01-01"}),
    "dotted months": Example("the same with dots", text("a.csv", {"date": stamps(144, "MS", "2009-01-01", "%d.%m.%Y"), "sales": VALUES[:144]}), {"freq": "MS", "lengths": (144,)}),
    "ambiguous": Example(
        "twelve rows that are months or days", text("a.csv", {"date": MONTHS[:12], "sales": VALUES[:12]}), {"freq": "MS", "lengths": (12,), "first": "2009-01-01"}, hint={"day_first": True}
    ),
    "two-digit years": Example("01/01/20, two-digit years", text("a.csv", {"date": stamps(80, form="%d/%m/%y"), "v": VALUES[:80]}), {"freq": "D", "lengths": (80,), "first": "2020-01-01"}, said="two-digit years"),
    "month first": Example("1/31/2020", text("a.csv", {"Date": stamps(40, form="%m/%d/%Y"), "v": series()}), DAILY),
    "yyyymm": Example("200901 as a number", text("a.csv", {"month": stamps(40, "MS", "2009-01-01", "%Y%m"), "v": series()}), {"freq": "MS", "first": "2009-01-01"}),
    "yyyymmdd": Example("20200131 as a number", text("a.csv", {"day": stamps(40, form="%Y%m%d"), "v": series()}), DAILY),
    "weeks": Example("2020-W01", text("a.csv", {"week": stamps(60, "W-MON", "2020-01-06", "%G-W%V"), "v": VALUES[:60]}), {"freq": "W-MON", "first": "2020-01-06"}),
    "quarters": Example("2001Q1", text("a.csv", {"q": [f"{y}Q{q}" for y in range(2001, 2011) for q in (1, 2, 3, 4)], "v": series()}), {"first": "2001-01-01", "lengths": (40,)}),
    "jan-20": Example("Jan-20", text("a.csv", {"Month": stamps(40, "MS", "2015-01-01", "%b-%y"), "v": series()}), {"freq": "MS", "first": "2015-01-01"}),
    "epoch": Example("epoch seconds", text("a.csv", {"time": [1577836800 + 3600 * i for i in range(40)], "v": series()}), {"freq": "h", "first": "2020-01-01"}, said="seconds since 1970"),
    "epoch ms": Example("epoch milliseconds", text("a.csv", {"time": [1577836800000 + 3600000 * i for i in range(40)], "v": series()}), {"freq": "h", "first": "2020-01-01"}, said="milliseconds since 1970"),
    "workbook days": Example("days as workbooks count them", text("a.csv", {"date": [45292 + i for i in range(40)], "v": series()}), {"freq": "D", "first": "2024-01-01"}, said="day numbers of a workbook (45292 is 2024-01-01); if it counts steps, call it 'step'"),
    "workbook months": Example("months as workbooks count them", text("a.csv", {"Datum": [(day - pd.Timestamp("1899-12-30")).days for day in pd.date_range("2010-01-01", periods=40, freq="MS")], "v": series()}, separator=";"), {"freq": "MS", "first": "2010-01-01"}, said="day numbers of a workbook"),
    "workbook hours": Example("hours as workbooks count them", text("a.csv", {"timestamp": [45292 + i / 24 for i in range(40)], "v": series()}), {"freq": "h", "first": "2024-01-01"}, said="day numbers of a workbook"),
    "workbook days or steps": Example("numbers that may be days of a workbook", text("a.csv", {"time": [45292 + i for i in range(40)], "v": series()}), {"freq": None, "lengths": (40,)}, said="count steps; if they are day numbers of a workbook (45292: 2024-01-01), call it 'date'"),
    "steps as large as workbook days": Example("steps in the range of days of a workbook", text("a.csv", {"step": [45292 + i for i in range(40)], "v": series()}), {"freq": None, "lengths": (40,)}),
    "date and hour": Example("date and hour in two columns", text("a.csv", {"dteday": YMDH.strftime("%Y-%m-%d"), "hr": YMDH.hour, "cnt": VALUES[:100]}), {"freq": "h", "lengths": (100,), "channels": ("cnt",)}),
    "four columns": Example(
        "year, month, day, hour in four columns, a counter, NA, text",
        text("a.csv", {"No": range(1, 101), "year": YMDH.year, "month": YMDH.month, "day": YMDH.day, "hour": YMDH.hour, "pm2.5": ["NA"] * 24 + list(VALUES[:76]), "cbwd": ["NW"] * 100}),
        {"freq": "h", "channels": ("pm2.5",), "missing": 24, "lengths": (100,)},
    ),
    "newest first": Example("newest first", csv("a.csv", pd.DataFrame({"Date": stamps(), "Close": series()})[::-1]), DAILY, said="reverse order"),
    # Clocks
    "summer time ends": Example("an hour twice at the end of summer time", csv("a.csv", hour_repeated()), {"freq": "h", "lengths": (71,)}, hint={"duplicates": "mean"}),
    "zoned hours": Example("hours with +02:00, then +01:00", text("a.csv", {"ts": map(str, HOURS), "v": VALUES[:72]}), {"freq": "h", "lengths": (72,), "zone": "+01:00"}),
    "compact zone": Example("20231020T060000+0200, daily at 6:00", text("a.csv", {"ts": [at.strftime("%Y%m%dT%H%M%S%z") for at in BERLIN_DAYS], "v": VALUES[:30]}), {"freq": "D", "first": "2023-10-20 06:00"}),
    "mondays": Example("Mondays 9:00 across the change of clocks", lambda _: pd.DataFrame({"ts": MONDAYS, "v": VALUES[:30]}), {"freq": "W-MON", "zone": "Europe/Berlin"}),
    "santiago": Example("a day that begins at 1:00 (America/Santiago)", lambda _: pd.DataFrame({"ts": SANTIAGO, "v": VALUES[:30]}), {"freq": "D", "lengths": (30,), "zone": "America/Santiago"}, said="begin an hour later"),
    "stamps in objects": Example("a column of objects, stamps with a zone", lambda _: pd.DataFrame({"ts": pd.Series(list(BERLIN_DAYS), dtype=object), "v": VALUES[:30]}), {"freq": "D", "zone": "Europe/Berlin"}),
    "arrow stamps": Example("pyarrow's stamps with a zone", lambda _: pd.DataFrame({"ts": pd.Series(BERLIN_DAYS).astype(pd.ArrowDtype(pa.timestamp("ns", "Europe/Berlin"))), "v": VALUES[:30]}), {"freq": "D", "zone": "Europe/Berlin"}),
    # Roles
    "store text": Example("two stores one below the other", csv("a.csv", long({"store": ["A", "B"]})), {"items": ("A", "B"), "lengths": (30, 30), "channels": ("sales",)}),
    "store number": Example("stores that are numbers", csv("a.csv", long({"store": [1, 2]})), {"items": ("1", "2"), "channels": ("sales",)}),
    "stores in turn": Example("stores whose times do not overlap", csv("a.csv", long({"store": ["A", "B"]}).assign(date=stamps(60))), {"items": ("A", "B")}),
    "store and item": Example("store and item together", csv("a.csv", long({"store": [1, 2], "item": ["x", "y", "z"]})), {"items": ("1/x", "1/y", "1/z", "2/x", "2/y", "2/z"), "ids": ("store", "item")}),
    "one more column": Example(
        "item_id that repeats without store", csv("a.csv", long({"item_id": ["x", "y"], "store": ["N", "S"]})), {"items": ("x/N", "x/S", "y/N", "y/S")}, hint={"id_column": ["item_id", "store"]}
    ),
    "bikes": Example("a counter, calendar columns, constants", csv("a.csv", bikes()), {"channels": ("cnt",), "freq": "D", "lengths": (200,)}),
    "walmart": Example("several columns that could be the target", csv("a.csv", walmart()), {"channels": ("Weekly_Sales",), "items": ("1", "2", "3"), "freq": "W-FRI"}, hint={"target": "Weekly_Sales"}),
    "leading zeros": Example("items called 007", csv("a.csv", long({"item_id": ["007", "8"]})), {"items": ("007", "8")}),
    "unordered load": Example("rows of years in any order, one hour twice", csv("a.csv", unordered_load()), {"freq": "h", "lengths": (200,)}, hint={"duplicates": "mean"}, said="not in order of time"),
    "weather twice": Example("hours that repeat with another text", csv("a.csv", weather_twice()), {"freq": "h", "lengths": (100,), "channels": ("traffic_volume",)}, hint={"duplicates": "mean"}),
    "shops newest first": Example("newest first, shops in turn, weekdays, constants", csv("a.csv", shops_newest_first()), {"items": ("1", "2", "3"), "lengths": (30,) * 3, "channels": ("sales",)}, hint={"target": "sales"}),
    "households": Example("minutes, 16/12/2006, semicolons, three decimals, ?", raw("a.txt", households().to_csv(index=False, sep=";").encode()), {"freq": "min", "lengths": (900,), "channels": ("power", "Voltage"), "missing": 22}),
    "quarter hours": Example("no name over the dates, quotes, decimal commas", raw("a.txt", pd.DataFrame({"": stamps(200, "15min", "2011-01-01 00:15", "%Y-%m-%d %H:%M:%S"), "MT_001": [f"{v:.4f}".replace(".", ",") for v in VALUES[:200]]}).to_csv(index=False, sep=";", quoting=2).encode()), {"freq": "15min", "lengths": (200,), "channels": ("MT_001",)}),
    "two clocks": Example("the same times on two clocks", text("a.csv", {"utc_timestamp": HOURS.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"), "local": HOURS.strftime("%Y-%m-%dT%H:%M:%S%z"), "load": VALUES[:72]}), {"freq": "h", "lengths": (72,), "zone": "UTC", "channels": ("load",)}),
    # Layouts
    "wide": Example("a column a series", text("a.csv", {"date": stamps(), "a": series(), "b": VALUES[50:90]}), {"channels": ("a", "b"), "ids": ()}),
    "dates in header": Example(
        "dates in the header, names that are partly empty",
        csv("a.csv", one_row_each(stamps(40, form="%-m/%-d/%y")).assign(**{"Province/State": ["a", "b", "", ""], "Country/Region": ["X", "X", "Y", "Z"], "Lat": [1.5, 2, 3, 4]})),
        {"items": ("a/X", "b/X", "/Y", "/Z"), "freq": "D", "lengths": (40,) * 4, "first": "2020-01-01"},
    ),
    "W0 to W51": Example("W0 ... W51 in the header", csv("a.csv", one_row_each([f"W{i}" for i in range(52)]).assign(MIN=0, Product=["p1", "p2", "p3", "p4"])), {"items": ("p1", "p2", "p3", "p4"), "freq": None, "lengths": (52,) * 4}),
    "d_1": Example("d_1 ... d_50 in the header", csv("a.csv", one_row_each([f"d_{i + 1}" for i in range(50)]).assign(id=list("abcd"), state=list("xxyy"))), {"items": tuple("abcd"), "lengths": (50,) * 4}),
    "M4": Example("M4: V1, V2, ...", csv("a.csv", one_row_each([f"V{i + 2}" for i in range(20)]).set_axis([f"V{i + 2}" for i in range(20)], axis=1).pipe(lambda f: pd.concat([pd.Series(["Y1", "Y2", "Y3", "Y4"], name="V1"), f], axis=1))), {"items": ("Y1", "Y2", "Y3", "Y4"), "lengths": (20,) * 4}),
    "no dates": Example("one column of numbers", text("a.csv", {"v": series()}), {"freq": None, "lengths": (40,), "values": series(3)}),
    "multi-index": Example("items and times in the index", lambda _: long({"store": ["A", "B"]}).assign(date=lambda f: pd.to_datetime(f["date"])).set_index(["store", "date"]), {"items": ("A", "B"), "channels": ("sales",)}),
    "polars": Example("a polars frame", lambda _: pl.DataFrame({"date": pd.to_datetime(stamps()), "y": series()}), DAILY),
    "arrow": Example("a pyarrow table", lambda _: pa.table({"date": stamps(), "y": series()}), DAILY),
    # Frequencies
    "Monday to Saturday": Example("weeks without Sundays", text("a.csv", {"d": NO_SUNDAYS, "v": VALUES[: len(NO_SUNDAYS)]}), {"freq": "days[Mon,Tue,Wed,Thu,Fri,Sat]", "missing": 0}),
    "fifteenths": Example("the 15th of each month", text("a.csv", {"d": [f"{y}-{m:02d}-15" for y in (2019, 2020) for m in range(1, 13)], "v": VALUES[:24]}), {"freq": "offset[months=1,day=15]", "missing": 0}),
    "working days": Example("working days with a holiday", csv("a.csv", pd.DataFrame({"d": stamps(40, "B"), "v": series()}).drop(index=17)), {"freq": "B", "lengths": (40,), "missing": 1}),
    "jitter": Example("ten minutes, a few seconds early or late", csv("a.csv", jittered()), {"freq": "10min", "lengths": (100,)}, said="moved to it"),
    "uneven": Example("unevenly sampled", csv("a.csv", uneven()), {"freq": "2h"}, hint={"resample": "2h:mean"}),
    # As offices write them
    "percent": Example("53,11 % with decimal commas", text("a.csv", {"Tag": stamps(), "v": [f"{v} %".replace(".", ",") for v in series()]}, ";"), {**DAILY, "channels": ("v",)}),
    "dollars": Example("$5,311.00, negative in parentheses", text("a.csv", {"date": stamps(), "y": [f'"(${v * 100:,.2f})"' if i % 3 else f'"${v * 100:,.2f}"' for i, v in enumerate(series())]}), {"freq": "D", "values": [100 * VALUES[0], -100 * VALUES[1], -100 * VALUES[2]]}),
    "minus signs": Example("a typographer's minus, a minus behind", text("a.csv", {"date": stamps(), "y": [f"\u2212{v}" if i % 2 else f"{v}-" for i, v in enumerate(series())]}), {"freq": "D", "values": (-VALUES[:3]).tolist()}),
    "apostrophes": Example("53’110.00 as in Switzerland", text("a.csv", {"date": stamps(), "y": [f"{v * 1000:,.2f}".replace(",", "’") for v in series()]}, ";"), {"freq": "D", "values": (1000 * VALUES[:3]).tolist()}),
    "lakhs": Example("12,34,567 as in India", text("a.csv", {"date": stamps(3), "y": ['"12,34,567"', '"98,765"', '"1,00,000"']}), {"values": [1234567.0, 98765.0, 100000.0]}),
    "sep=;": Example("Excel's line sep=; above the header", text("a.csv", {"date": stamps(), "y": series()}, ";", before="sep=;\n"), DAILY),
    "units below": Example("a row of units below the header", text("a.csv", {"date": ["", *stamps()], "y": ["°C", *series()]}), DAILY, said="holds units: °C"),
    "German months": Example("Januar 2015, März 2015, ...", text("a.csv", {"Monat": [f"{GERMAN[i % 12]} {2015 + i // 12}" for i in range(40)], "v": series()}, ";"), {"freq": "MS", "first": "2015-01-01", "lengths": (40,)}),
    "Spanish days": Example("1 de enero de 2020", text("a.csv", {"dia": [f"{at.day} de {SPANISH[at.month - 1]} de {at.year}" for at in pd.date_range("2020-01-01", periods=40)], "v": series()}), {"freq": "D", "first": "2020-01-01", "lengths": (40,)}),
    "short months": Example("Mrz 20, Mai 20 and a € in the header", text("a.csv", {"Monat": [f"{GERMAN_SHORT[i % 12]} {20 + i // 12}" for i in range(36)], "Umsatz €": series(36)}, ";"), {"freq": "MS", "first": "2020-01-01", "lengths": (36,)}),
    "Eurostat": Example("quarters in the header, a colon for missing", csv("a.csv", one_row_each([f"{2019 + q // 4}-Q{q % 4 + 1}" for q in range(20)]).astype(object).pipe(lambda f: f.assign(**{"2019-Q2": ":"})).assign(**{"geo\\TIME_PERIOD": ["DE", "FR", "IT", "PL"]})), {"items": ("DE", "FR", "IT", "PL"), "freq": "QS-OCT", "missing": 4}),
    "year and mois": Example("a year and a month's French name in two columns", text("a.csv", {"annee": [2015 + i // 12 for i in range(40)], "mois": [FRENCH[i % 12] for i in range(40)], "v": series()}), {"freq": "MS", "first": "2015-01-01"}),
    "202405": Example("ISO weeks as 202405", text("a.csv", {"week": [f"{2020 + i // 52}{i % 52 + 1:02d}" for i in range(40)], "v": series()}), {"freq": "W-MON", "first": "2019-12-30", "missing": 0}),
    "year and M03": Example("a year beside periods M01 to M12", csv("a.csv", pd.DataFrame({"series_id": ["A"] * 36 + ["B"] * 36, "year": [2015 + i % 36 // 12 for i in range(72)], "period": [f"M{i % 12 + 1:02d}" for i in range(72)], "value": VALUES[:72]})), {"items": ("A", "B"), "freq": "MS", "lengths": (36, 36)}),
    "year and Q3": Example("a year beside periods Q1 to Q4", text("a.csv", {"year": [2015 + i // 4 for i in range(40)], "period": [f"Q{i % 4 + 1}" for i in range(40)], "v": series()}), {"freq": "QS-OCT", "first": "2015-01-01"}),
    "weekdays": Example("a column a weekday: Mon is no month", text("a.csv", {"week": [f"2020-W{i + 1:02d}" for i in range(40)], **{day: VALUES[40 * n : 40 * n + 40] for n, day in enumerate(WEEKDAYS)}}), {"channels": WEEKDAYS, "freq": "W-MON"}, said="are weekdays"),
    "hours": Example("a column an hour", text("a.csv", {"date": stamps(), **{f"H{hour}": VALUES[40 * hour : 40 * hour + 40] for hour in range(1, 25)}}), {"freq": "D", "channels": tuple(f"H{hour}" for hour in range(1, 25))}, said="are hours"),
    "months by years": Example("a row a month, a column a year", csv("a.csv", pd.DataFrame({"Month": GERMAN, **{str(year): VALUES[year - 1990 : year - 1978] for year in range(1990, 2000)}})), {"items": tuple(GERMAN), "lengths": (10,) * 12}, said="are months"),
    "World Bank": Example("1990 [YR1990] in the header", csv("a.csv", one_row_each([f"{year} [YR{year}]" for year in range(1990, 2020)]).assign(**{"Country Name": list("abcd"), "Country Code": list("wxyz")})), {"items": tuple("abcd"), "lengths": (30,) * 4}),
    "ages": Example("a row a series and an age that repeats", csv("a.csv", pd.concat([pd.Series([20, 20, 31, 45], name="age"), one_row_each(stamps())], axis=1)), {"items": ("1", "2", "3", "4"), "freq": "D"}),
    "clock in seconds": Example("seconds that go up evenly, each row a step", text("a.csv", {"Time [s]": [f"{i / 10:.1f}" for i in range(40)], "Temp": series()}), {"channels": ("Temp",), "lengths": (40,)}, hint={"layout": "rows"}),
    "index": Example("an index without a name", text("a.csv", {"": range(40), "v": series()}), {"channels": ("v",), "lengths": (40,)}, hint={"layout": "rows"}),
    # Refused rightly
    "header again": Example("the header once more between the rows", text("a.csv", {"date": [*stamps(20), "date", *stamps(20)], "y": [*series(20), "y", *series(20)]}), refused="header is repeated in row 22"),
    "two headers": Example("a header in two rows", raw("a.csv", b",sales,,costs,\ndate,north,south,north,south\n2020-01-01,1,2,3,4\n2020-01-02,2,3,4,5\n"), refused="such as 'sales north'"),
    "web page": Example("a web page saved as .csv", raw("a.csv", b"<!DOCTYPE html><html><body>404</body></html>"), refused="is a web page"),
    "NUL": Example("a NUL byte", raw("a.csv", b"date,y\n2020-01-01,1\n\x00,2\n"), refused="NUL byte in line 3"),
    "empty header": Example("an empty name and nothing else", raw("a.csv", b'""\n'), refused="found none"),
    "zone lost": Example("a zone that breaks off", raw("a.csv", b"date,y\n2020-01-01T00:00+02:00,1\n2020-01-02T00:00+0,2\n2020-01-03T00:00+02:00,3\n"), refused="row 3"),
    "lists": Example("lists as item names", lambda _: pd.DataFrame({"item_id": [["a"], ["b"]], "ds": stamps(2), "y": [1, 2]}), refused="holds list in row 0"),
    "huge cell": Example("a cell of three megabytes", raw("a.csv", b"date,y\n2020-01-01,1\n" + b"x" * 3_000_000 + b",2\n"), refused="characters"),
    "two frequencies": Example("hourly and daily items in one table", csv("a.csv", pd.concat([long({"store": ["A"]}), long({"store": ["B"]}).assign(date=stamps(30, "h", form="%Y-%m-%d %H:%M"))])), refused="found two"),
    "text value": Example("text among the numbers", csv("a.csv", pd.DataFrame({"date": stamps(), "y": [*series(20), "soon", *series(19)]})), refused="found 'soon' in row 22"),
}  # fmt: skip
