"""Pictures of selection: every module at its place, colours that mean what they say."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.report.svg import texts
from tests.tiny import tiny_forecast_model
from tracetune.adapters.lora import target_layers
from tracetune.base.errors import InputError
from tracetune.report import importance_plots
from tracetune.report.importance_plots import Panel, module_grid, plot_history, plot_importance

KINDS = ("Query", "Key", "Value", "Output", "Gate", "Up", "Down")


def names() -> list[str]:
    """The linear layers of a T5 encoder of two blocks."""
    return target_layers(tiny_forecast_model())


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is drawn."""
    drawn: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            drawn.append(self)

    monkeypatch.setattr(importance_plots, "Figure", Kept)
    return drawn


def test_t5_layers_have_the_columns_of_the_paper():
    grid = module_grid(names())
    assert grid.columns == KINDS
    assert grid.rows == ("0", "1")
    assert grid.places["backbone.encoder.block.0.layer.0.SelfAttention.q"] == (0, 0)
    assert grid.places["backbone.encoder.block.1.layer.1.DenseReluDense.wo"] == (1, 6)
    assert sorted(grid.places.values()) == [(row, column) for row in range(2) for column in range(7)]


def test_missing_modules_leave_the_order_of_columns_alone():
    kept = [name for name in names() if name.endswith((".wi_1", ".k"))]
    assert module_grid(kept[::-1]).columns == ("Key", "Up")


def test_blocks_are_in_the_order_of_their_numbers_and_unknown_layers_keep_their_names():
    grid = module_grid(["model.layers.10.attn.q_proj", "model.layers.2.attn.q_proj", "model.layers.2.mlp.down_proj"])
    assert grid.rows == ("2", "10")  # by number, not by letter
    assert grid.columns == ("Query", "Down")
    assert module_grid(["layers.0.gate", "layers.0.router.weigher"]).columns == ("gate", "weigher")


def test_what_shares_its_last_name_is_told_apart():
    """Chronos-2 has two attentions in a block, T5 an encoder and a decoder, and some layers are in no block."""
    two = module_grid(["encoder.block.0.layer.0.attention.q", "encoder.block.0.layer.1.attention.q"])
    assert two.columns == ("layer.0.attention.q", "layer.1.attention.q")
    grid = module_grid(["encoder.block.0.q", "decoder.block.0.q", "input.embed"])
    assert set(grid.rows) == {"encoder.block 0", "decoder.block 0", "input"}
    assert len(set(grid.places.values())) == 3
    electra = module_grid(["model.embeddings_project", "model.encoder.layer.0.query", "model.encoder.layer.1.query"])
    assert electra.rows == ("model", "0", "1")


def test_heat_maps_hold_every_value_at_its_place(tmp_path, figures):
    rng = np.random.default_rng(0)
    signed = dict(zip(names(), rng.normal(size=14), strict=True))
    positive = {name: abs(value) + 1 for name, value in signed.items()}
    plot_importance(tmp_path / "heat.svg", [Panel("shapley", signed, True), Panel("magnitude", positive, False)])
    assert {"shapley", "magnitude", *KINDS} <= set(texts(tmp_path / "heat.svg"))
    one, other = (axes.images[0] for axes in figures[0].axes if axes.images)
    grid = module_grid(names())
    for name, (row, column) in grid.places.items():
        assert one.get_array()[row, column] == signed[name]
    assert one.get_clim() == (-max(map(abs, signed.values())), max(map(abs, signed.values())))
    assert other.get_clim() == (min(positive.values()), max(positive.values()))
    assert one.get_cmap().name != other.get_cmap().name


def test_the_worst_module_is_as_far_from_white_as_the_best(figures, tmp_path):
    plot_importance(tmp_path / "a.png", [Panel("s", {"block.0.q": 1.0, "block.0.k": -1.0, "block.1.q": 0.0}, True)])
    image = next(axes.images[0] for axes in figures[0].axes if axes.images)
    best, worst, nothing = (image.to_rgba(np.array(value)) for value in (1.0, -1.0, 0.0))
    assert best[0] > best[2]
    assert worst[2] > worst[0]
    assert np.allclose(nothing[:3], nothing[0], atol=0.02)
    assert np.ma.is_masked(image.get_array()) or np.isnan(image.get_array()).sum() == 1  # block 1 has no key


def test_many_panels_go_over_several_rows(tmp_path):
    values = dict.fromkeys(names(), 0.0)  # nothing but zeros is drawn too
    plot_importance(tmp_path / "heat.png", [Panel(str(index), values, index % 2 == 0) for index in range(6)])
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.format == "PNG"
        assert picture.height > 500


def test_history_shows_what_was_open_after_each_round(tmp_path, figures):
    modules = names()
    opened = [modules, modules[:6], modules[3:6]]
    plot_history(tmp_path / "history.svg", modules, [4, 8, 12], opened)
    mesh = figures[0].axes[0].collections[0].get_array().reshape(14, 3)
    order = sorted(modules, key=lambda name: module_grid(modules).places[name])
    for row, name in enumerate(order):
        assert mesh[row].tolist() == [float(name in each) for each in opened]
    found = texts(tmp_path / "history.svg")
    assert {"0 Query", "1 Down", "4", "8", "12", "14", "6", "3", "open", "closed"} <= set(found)


def test_pictures_of_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match="one or more panels"):
        plot_importance(tmp_path / "a.png", [])
    with pytest.raises(InputError, match="the same modules"):
        plot_importance(tmp_path / "a.png", [Panel("a", {"x.0.q": 1}, True), Panel("b", {"x.0.k": 1}, True)])
    with pytest.raises(InputError, match="found 0 and 0"):
        plot_history(tmp_path / "a.png", names(), [], [])
    assert list(tmp_path.iterdir()) == []
