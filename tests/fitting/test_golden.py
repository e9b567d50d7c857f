"""Results stay what they were: losses, winners and kept modules of every method; golden.py renews them."""

import json

import pytest

from tests.fitting.golden import CASES, FILE, fitted, record

GOLDEN = json.loads(FILE.read_text())
TOLERANCE = 0.02  # of a loss after 12 steps on another processor


def test_every_case_is_on_record() -> None:
    assert list(GOLDEN) == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_fit_ends_where_it_did(case: str) -> None:
    found, expected = record(fitted(*CASES[case])), GOLDEN[case]
    for name in ("winner", "parameters", "kept"):
        assert found[name] == expected[name]
    assert found["losses"] == pytest.approx(expected["losses"], rel=TOLERANCE)
    assert found["history"].keys() == expected["history"].keys()
    for phase, losses in expected["history"].items():
        assert found["history"][phase] == pytest.approx(losses, rel=TOLERANCE)
