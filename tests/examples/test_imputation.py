"""The worked example of docs/imputation.md runs as it stands, and fills the gaps."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "imputation.md"


def test_imputation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert block is not None
    found: dict = {}
    exec(block[1], found)
    frame, filled, errors = found["frame"], found["filled"], found["errors"].set_index("method")["mse"]
    assert filled["filled"].equals(frame["co2"].isna().rename("filled"))
    assert filled["co2"].notna().all()
    assert list(filled) == ["week", "co2", "filled", "0.1", "0.9"]
    assert errors["model"] < min(errors["linear"], errors["seasonal median"])
    assert (tmp_path / "co2-filled.png").stat().st_size > 1000
