from benchmarks.classification_table import SETS, table


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
