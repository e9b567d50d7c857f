"""Count the names that a DataFrame goes by on its way through `Forecaster.fit`: local variables, function by function.

Run `python docs/frame_hops.py`. Every line of the package that runs in a fit of a few steps on a long table of two
series is watched; a name counts once for each function in which it holds a DataFrame of the package or of the caller.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from tracetune import FitConfig, Forecaster, TrainingConfig


def main() -> None:
    """Print the names in the order in which they come up, and their number."""
    names: dict[str, None] = {}
    with_names = watcher(names)
    config = FitConfig(method="linear_probe", head_training=TrainingConfig(max_steps=1))  # type: ignore[arg-type]
    forecaster = Forecaster.from_pretrained("tracetune/tiny", prediction_length=8, device="cpu")
    frame = table()
    sys.settrace(with_names)
    try:
        forecaster.fit(frame, config=config)
    finally:
        sys.settrace(None)
    print(*names, sep="\n")
    print(f"{len(names)} names")


def table() -> pd.DataFrame:
    """Return two series of 120 hours as a long table."""
    steps = np.tile(np.arange(120), 2)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps, unit="h")
    items = np.repeat(["a", "b"], 120)
    return pd.DataFrame({"item_id": items, "timestamp": times, "target": np.sin(steps / 4) + (items == "b")})


def watcher(names: dict[str, None]) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that adds each ``function.variable`` of the package that holds a DataFrame."""
    package = str(Path(sys.modules["tracetune"].__path__[0]))

    def watch(frame: FrameType, event: str, value: Any) -> Any:
        if not frame.f_code.co_filename.startswith(package):
            return None
        module = Path(frame.f_code.co_filename).stem
        for name, held in frame.f_locals.items():
            if isinstance(held, pd.DataFrame):
                names.setdefault(f"{module}.{frame.f_code.co_qualname}: {name}")
        return watch

    return watch


if __name__ == "__main__":
    main()
