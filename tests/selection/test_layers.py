import pytest

from tracetune.selection.layers import ModulePlace, module_place


@pytest.mark.parametrize(
    ("name", "place", "depth"),
    [
        ("encoder.block.3.layer.0.SelfAttention.q", ModulePlace("encoder.block", 3, "layer.0.SelfAttention.q"), 3),
        ("model.layers.10.mlp.down_proj", ModulePlace("model.layers", 10, "mlp.down_proj"), 10),
        ("encoder.linear1", ModulePlace("encoder", -1, "linear1"), 0),
        ("players.7", ModulePlace("players", 7, "players"), 7),
        ("2", ModulePlace("", 2, ""), 2),
        ("conv1d.q", ModulePlace("conv1d", -1, "q"), 0),
    ],
)
def test_a_module_is_placed_by_the_first_number_in_its_name(name: str, place: ModulePlace, depth: int) -> None:
    assert module_place(name) == place
    assert module_place(name).depth == depth
