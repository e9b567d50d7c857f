"""Pictures of training runs."""

import pytest

from tests.report.svg import texts
from tracetune.base.errors import InputError
from tracetune.report.training_plots import plot_training


def test_an_unknown_format_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="picture file that ends in"):
        plot_training(tmp_path / "training.xyz", [{"loss": 1.0, "step": 1}])
    assert list(tmp_path.iterdir()) == []


def log(training, validation):
    entries = [{"loss": loss, "step": 10 * i, "learning_rate": 1e-3} for i, loss in enumerate(training, 1)]
    entries += [{"eval_loss": loss, "step": 20 * i, "epoch": i} for i, loss in enumerate(validation, 1)]
    return [*entries, {"train_runtime": 1.0, "train_loss": 0.5, "step": 10 * len(training)}]


def test_training_shows_both_losses_and_the_best_validation(tmp_path):
    plot_training(tmp_path / "t.svg", log([1.0, 0.9, 0.8, 0.7, 0.65, 0.6], [0.9, float("nan"), 0.75]))
    assert {"training", "validation", "best: 0.75 at step 60"} <= set(texts(tmp_path / "t.svg"))


def test_losses_over_more_than_a_decade_get_a_logarithmic_axis(tmp_path):
    plot_training(tmp_path / "linear.svg", log([1.0, 0.5], [0.9]))
    plot_training(tmp_path / "logarithmic.svg", log([100.0, 0.1], [0.9]))
    assert not any("10^" in text for text in texts(tmp_path / "linear.svg"))
    assert any("10^" in text for text in texts(tmp_path / "logarithmic.svg"))


def test_a_run_without_validation_or_without_any_loss_is_drawn_too(tmp_path):
    plot_training(tmp_path / "a.svg", log([1.0, 0.5], []))
    assert "training" in texts(tmp_path / "a.svg")
    assert "validation" not in texts(tmp_path / "a.svg")
    plot_training(tmp_path / "b.svg", log([], []))
    assert not {"training", "validation"} & set(texts(tmp_path / "b.svg"))
