"""Pictures of detectors: which channels are drawn, their names, and what a long series keeps."""

import numpy as np
import pytest

from tracetune.report.anomaly_plots import AnomalyPanel, anomaly_figure

STEPS = 20_000


def panel(channels: tuple[str, ...], left_out: int = 0) -> AnomalyPanel:
    values = np.zeros((len(channels), STEPS))
    values[-1, 12_345] = 7.0  # one step of the last channel
    score = np.zeros(STEPS)
    return AnomalyPanel("", np.arange(STEPS), channels, values, score, score + 1, ((12_345, 12_346),), (), left_out)


def test_every_channel_has_its_name_and_keeps_its_extremes() -> None:
    above = anomaly_figure([panel(("inlet", "a name that is too long to stand there"), 3)]).axes[0]
    assert [label.get_text() for label in above.get_yticklabels()] == ["inlet", "a name that is…"]
    assert above.get_title("right") == "1 event, 2 of 5 channels"
    times, row = above.lines[1].get_data()
    assert row.max() - row.min() == pytest.approx(0.9) and times[row.argmax()] == 12_345
    assert len(times) < STEPS / 2


def test_a_single_channel_has_its_own_units() -> None:
    above = anomaly_figure([panel(("inlet",))]).axes[0]
    assert above.lines[0].get_ydata().max() == 7.0
    assert above.get_title("right") == "1 event"
