"""Every table of the gallery is read rightly, refused rightly, or read after the one hint of its message."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.gallery import EXAMPLES, Example, read
from tracetune.base.errors import InputError
from tracetune.data.reading.read import Reading, read_table


def understood(reading: Reading) -> dict[str, object]:
    panel = reading.panel
    first = panel.series[0]
    begin = first.timestamps[0]
    return {
        "items": panel.item_ids,
        "ids": panel.origin.id_columns,
        "channels": panel.channels,
        "freq": panel.freq,
        "lengths": panel.lengths,
        "zone": panel.origin.zone,
        "missing": int(sum(np.isnan(series.values).sum() for series in panel)),
        "first": pd.Timestamp(begin) if isinstance(begin, np.datetime64) else begin,
        "values": first.values[0].tolist(),  # noqa: PD011
    }


@pytest.mark.parametrize("example", [pytest.param(each, id=name) for name, each in EXAMPLES.items()])
def test_gallery(example: Example, tmp_path: Path) -> None:
    if example.refused:
        with pytest.raises(InputError) as caught:
            read(example, tmp_path)
        assert example.refused in str(caught.value)
        assert len(str(caught.value)) < 2000
        return
    reading, _ = read(example, tmp_path)
    found = understood(reading)
    for name, wanted in example.expected.items():
        if name == "values":
            np.testing.assert_allclose(found[name][: len(wanted)], wanted)
        elif name == "first":
            assert found[name] == pd.Timestamp(wanted)
        else:
            assert found[name] == wanted, name
    assert example.said in " ".join([*reading.notes, *reading.warnings])


@pytest.mark.parametrize("example", [pytest.param(each, id=n) for n, each in EXAMPLES.items() if not each.refused])
def test_what_was_decided_reads_the_table_alike(example: Example, tmp_path: Path) -> None:
    """What a model remembers needs no flag, whatever was given before."""
    reading, _ = read(example, tmp_path)
    again = read_table(example.make(tmp_path), remembered=type(reading.options).from_json(reading.options.to_json()))
    assert understood(again).keys() == understood(reading).keys()
    for name, wanted in understood(reading).items():
        if name == "values":
            np.testing.assert_array_equal(understood(again)[name], wanted)
        else:
            assert understood(again)[name] == wanted, name


def test_the_gallery_is_large_and_mostly_read() -> None:
    refused = sum(bool(example.refused) for example in EXAMPLES.values())
    assert len(EXAMPLES) >= 60
    assert refused <= 10
