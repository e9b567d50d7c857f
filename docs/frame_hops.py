"""Count the names that a table goes by on its way through `Forecaster.fit`, function by function.

Run `python docs/frame_hops.py`. Every line of the package that runs in a fit of one step on two series is watched. A
variable counts once for each function in which it holds all values of the table, as a DataFrame or in an object of the
package made of it (a panel, windows, ...); comprehensions are part of their function.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from tracetune import FitConfig, Forecaster, TrainingConfig

_STEPS = 240


def main() -> None:
    """Print the names in the order in which they come up, and their number."""
    names: dict[str, None] = {}
    config = FitConfig(method="linear_probe", head_training=TrainingConfig(max_steps=1))  # type: ignore[arg-type]
    forecaster = Forecaster.from_pretrained("tracetune/tiny", prediction_length=8, device="cpu")
    frame = table()
    sys.settrace(watcher(names))
    try:
        forecaster.fit(frame, config=config)
    finally:
        sys.settrace(None)
    print(*names, sep="\n")
    variables = {name.rpartition(" ")[2] for name in names}
    print(
        f"{len(names)} variables of {len({name.partition(':')[0] for name in names})} functions, "
        f"{len(variables)} different names"
    )


def table() -> pd.DataFrame:
    """Return two series of 120 hours as a long table."""
    steps = np.tile(np.arange(_STEPS // 2), 2)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps, unit="h")
    items = np.repeat(["a", "b"], _STEPS // 2)
    return pd.DataFrame({"item_id": items, "timestamp": times, "target": np.sin(steps / 4) + (items == "b")})


def watcher(names: dict[str, None]) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that adds each ``module.function: variable`` of the package that holds the table."""
    package = str(Path(sys.modules["tracetune"].__path__[0]))

    def watch(frame: FrameType, event: str, value: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(package) or code.co_qualname.endswith("comp>"):
            return None
        for name, held in list(frame.f_locals.items()):
            if name != "self" and num_values(held) >= _STEPS:
                names.setdefault(f"{Path(code.co_filename).stem}.{code.co_qualname}: {name}")
        return watch

    return watch


def num_values(held: object, depth: int = 5) -> int:
    """Return how many values of a table can be reached from an object: in its DataFrames and arrays."""
    if isinstance(held, pd.DataFrame):
        return len(held)
    if isinstance(held, np.ndarray):
        return held.size if held.dtype.kind == "f" else 0
    if depth == 0:
        return 0
    if isinstance(held, (list, tuple)):
        return sum(num_values(each, depth - 1) for each in held[:4])
    if type(held).__module__.startswith("tracetune") and not isinstance(held, (type, nn.Module)):
        return sum(num_values(each, depth - 1) for each in vars(held).values()) if hasattr(held, "__dict__") else 0
    return 0


if __name__ == "__main__":
    main()
