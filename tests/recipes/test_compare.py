"""Two runs compared from the command line."""

import json
from pathlib import Path

import pytest

from tracetune.base.config import from_mapping
from tracetune.base.errors import InputError
from tracetune.recipes.compare import compare
from tracetune.recipes.settings.compare import CompareConfig


def test_two_folders_are_compared_and_the_verdict_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, values in (("one", range(12)), ("other", [1, 0, *range(2, 12)])):
        (tmp_path / name).mkdir()
        scores = {"values": {f"layer.{i}": float(value) for i, value in enumerate(values)}, "share_beyond_noise": 0.5}
        (tmp_path / name / "importance.json").write_text(json.dumps({"scores": {"gated_dsic": scores}}))
    runs = (str(tmp_path / "one"), str(tmp_path / "other"))
    (found,) = compare(from_mapping(CompareConfig, {"runs": runs}))
    printed = " ".join(capsys.readouterr().out.split())
    assert found.overlap.shared == 6
    assert "6 of 6" in printed and "50% and 50%" in printed and found.describe() in printed


def test_one_folder_is_not_enough() -> None:
    with pytest.raises(InputError, match="Expected two folders to compare, found 1"):
        from_mapping(CompareConfig, {"runs": ("one",)})
