"""State belongs to one run; that of another is refused with what differs."""

import json
from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.base.identity import RECORD_FILE, claim, differences, identity_digest, run_identity

RUN = run_identity(training={"learning_rate": 0.003, "head": None}, data="a" * 64, patterns=("q", "v"))


def test_a_record_is_flat_and_its_digest_knows_every_entry() -> None:
    assert RUN == {
        "format": 1,
        "training.learning_rate": 0.003,
        "training.head": None,
        "data": "a" * 64,
        "patterns": ["q", "v"],
    }
    assert identity_digest(RUN) == identity_digest(dict(reversed(RUN.items())))
    assert len({identity_digest(RUN | {name: "other"}) for name in RUN} | {identity_digest(RUN)}) == 6


def test_what_differs_is_named_with_both_values() -> None:
    other = run_identity(training={"learning_rate": 1e-5, "head": 0.1}, data="b" * 64, patterns=["q", "v"], new=True)
    assert differences(RUN, other) == [
        "training.learning_rate 0.003 there, 1e-05 here",
        "training.head none there, 0.1 here",
        "data aaaaaaaa... there, bbbbbbbb... here",
        "new none there, True here",
    ]
    assert differences(RUN, RUN) == []


def test_the_same_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "ck"
    claim(place, RUN, ["checkpoint-*"])
    (place / "checkpoint-3").mkdir()
    claim(place, RUN, ["checkpoint-*"])
    other = RUN | {"training.learning_rate": 1e-5}
    with pytest.raises(InputError) as refused:
        claim(place, other, ["checkpoint-*"])
    assert "training.learning_rate 0.003 there, 1e-05 here" in str(refused.value)
    assert "Choose another folder, or discard what is there with restart=True." in str(refused.value)
    assert refused.value.for_command_line().endswith("with --restart.")
    assert (place / "checkpoint-3").is_dir()


def test_a_restart_discards_state_and_nothing_else(tmp_path: Path) -> None:
    claim(tmp_path, RUN, ["**/checkpoint-*", "state.json"])
    (tmp_path / "lora" / "checkpoint-3").mkdir(parents=True)
    (tmp_path / "state.json").touch()
    (tmp_path / "notes.txt").touch()
    other = RUN | {"data": "b" * 64}
    claim(tmp_path, other, ["**/checkpoint-*", "state.json"], restart=True)
    assert {path.name for path in tmp_path.rglob("*")} == {"lora", "notes.txt", RECORD_FILE}
    assert json.loads((tmp_path / RECORD_FILE).read_text()) == {"digest": identity_digest(other), "identity": other}
    claim(tmp_path, RUN, ["**/checkpoint-*", "state.json"])  # no state yet: nothing is lost


@pytest.mark.parametrize(
    "record", [None, "", "{}", '{"digest": "x", "identity": {}}', '{"digest": "x", "identity": 3}']
)
def test_state_of_nobody_knows_which_run_is_refused(tmp_path: Path, record: str | None) -> None:
    (tmp_path / "checkpoint-3").mkdir()
    if record is not None:
        (tmp_path / RECORD_FILE).write_text(record)
    with pytest.raises(InputError, match=r"without a readable run\.json"):
        claim(tmp_path, RUN, ["checkpoint-*"])
