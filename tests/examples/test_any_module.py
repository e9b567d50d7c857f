"""The example of a module of one's own runs as it stands, shortened, and forecasts better than the last value."""

import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "any_module.py"


def test_any_module(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLE))["main"]
    errors = main(str(tmp_path), pretraining_steps=50, epochs=0.5).set_index("forecaster")
    assert errors.loc["model", "mse"] < errors.loc["repeat last", "mse"]
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
