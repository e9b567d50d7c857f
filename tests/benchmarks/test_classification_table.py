import pytest
from benchmarks.classification_table import SETS, require_settings, table

from tracetune.base.errors import InputError


def _cell(name: str, seed: int, accuracy: float, log_loss: float) -> dict[str, object]:
    return {"set": name, "method": "lora", "seed": seed, "accuracy": accuracy, "log_loss": log_loss}


def test_means_are_over_sets_each_with_the_mean_over_its_seeds():
    cells = [_cell(name, 0, 1.0, 0.0) for name in SETS] + [_cell(SETS[0], 1, 0.4, 0.6)]
    *rows, mean, loss = table(cells)
    assert [row["set"] for row in rows] == list(SETS)
    assert (rows[0]["lora"], rows[1]["lora"]) == ("0.700 ± 0.424 (2)", "1.000")
    assert (mean["set"], mean["lora"]) == ("mean", "0.950")
    assert (loss["set"], loss["lora"]) == ("mean log loss", "0.0500")


def test_a_set_that_is_missing_leaves_the_means_empty():
    *_, mean, loss = table([_cell(name, 0, 1.0, 0.0) for name in SETS[1:]])
    assert (mean["lora"], loss["lora"]) == ("", "")


def test_a_folder_holds_cells_of_the_same_settings():
    cell = _cell(SETS[0], 0, 1.0, 0.0) | {"epochs": 3.0}
    require_settings([cell], 3.0, tokens_alone=False)
    require_settings([cell | {"method": "linear_probe", "epochs": 10.0}], 3.0, tokens_alone=False)
    for epochs, tokens_alone in [(10.0, False), (3.0, True)]:
        with pytest.raises(InputError, match=r"ECG200-lora-0\.json is of 3\.0 epochs.*Take another folder"):
            require_settings([cell], epochs, tokens_alone)
