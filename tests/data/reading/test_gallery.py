"""Every table of the gallery is read rightly, refused rightly, or read after the one hint of its message."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.reading.gallery import misread, read, understood
from tests.data.reading.gallery_tables import EXAMPLES, Example
from tracetune.base.errors import InputError
from tracetune.data.reading.read import read_table


@pytest.mark.parametrize("example", [pytest.param(each, id=name) for name, each in EXAMPLES.items()])
def test_gallery(example: Example, tmp_path: Path) -> None:
    if example.refused:
        with pytest.raises(InputError) as caught:
            read(example, tmp_path)
        assert example.refused in str(caught.value)
        assert len(str(caught.value)) < 2000
        return
    assert misread(example, read(example, tmp_path)[0]) == []


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
