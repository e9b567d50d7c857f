"""A backtest on the command line: what is drawn is what was measured."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tiny import HORIZON, save_tiny, seasonal_frame
from tracetune.base.config import from_mapping
from tracetune.recipes.forecasting.evaluate import _advice, evaluate
from tracetune.recipes.forecasting.settings import EvaluateConfig


def test_a_resolution_is_chosen_once_for_errors_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    seasonal_frame(length=60).to_csv(tmp_path / "sales [new].csv", index=False)
    caplog.set_level(logging.WARNING)
    run = {
        "data": str(tmp_path / "sales [new].csv"),
        "model": str(save_tiny(tmp_path / "base")),
        "prediction_length": HORIZON,
        "resolution": ("auto",),
        "plot": str(tmp_path / "page [new].html"),
        "device": "cpu",
    }
    evaluate(from_mapping(EvaluateConfig, run))
    assert sum("in a backtest of" in each.message for each in caplog.records) == 1
    assert f"Page: {run['plot']}" in capsys.readouterr().out
    assert "<svg" in Path(run["plot"]).read_text()


@pytest.mark.parametrize(
    ("resolutions", "tuned", "advice"),
    [
        ((1,), False, "Try it with --resolution auto, fine-tune on these data, or use the naive forecast."),
        ((2, 4), False, "Fine-tune on these data, or use the naive forecast."),
        ((1,), True, "Fine-tune with --resolution auto, or use the naive forecast."),
        ((2, 4), True, "Use the naive forecast."),
    ],
)
def test_what_to_do_where_a_naive_forecast_is_better(resolutions: tuple[int, ...], tuned: bool, advice: str) -> None:
    model = SimpleNamespace(resolutions=resolutions, trace={} if tuned else None)
    assert _advice(model) == advice  # type: ignore[arg-type]
