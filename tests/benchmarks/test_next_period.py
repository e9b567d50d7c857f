"""Rules read validation only, and the report says what they would have returned."""

import warnings
from typing import Any

import numpy as np
import pytest
from benchmarks.next_period import STAGES, digest
from benchmarks.next_period_data import horizon_of
from benchmarks.next_period_methods import TRIALS, in_groups
from benchmarks.next_period_rates import rate_rows
from benchmarks.next_period_report import fit_rows, grid_rows, pair_rows, published, rule_rows, summarise
from benchmarks.next_period_rules import BEFORE, DEFAULT, SHRUNK, TODAY, TRAINED, WITHIN, judged, returned

from tracetune.evaluation.periods import SampleGroups
from tracetune.fitting.shrinkage import FACTORS


def cell(
    validation_gains: tuple[float, ...], test_gain: float, furthest: tuple[float, ...] = FACTORS, **rest: Any
) -> dict[str, Any]:
    """A model whose loss falls linearly with the factor, by other amounts in each validation period."""
    factors = np.array(furthest)[:, None, None]
    path = {
        "factors": list(furthest),
        "validation": (1 - factors * np.array(validation_gains)[None, :, None]).tolist(),
        "test": (1 - factors * np.full((1, 4, 1), test_gain)).tolist(),
    }
    first = {"dataset": "set", "horizon": 96, "cut": 0, "seed": 0, "method": "lora", "settings": {"steps": 1}}
    return {**first, "cpu_seconds": 1.0, "zero_shot": {"test": path["test"][0]}, "path": path, **rest}


def test_a_gain_in_every_period_is_taken_and_two_thirds_of_it_kept() -> None:
    ratios = judged(cell((0.1, 0.12, 0.11, 0.1, 0.09), 0.3))
    assert ratios[TRAINED] == pytest.approx(0.7)
    assert ratios[DEFAULT] == pytest.approx(0.8)


def test_a_rule_goes_beyond_the_trained_model_where_the_cell_does() -> None:
    ratios = judged(cell((0.1, 0.12, 0.11, 0.1, 0.09), 0.1, (*FACTORS, 1.5, 2.0, 3.0)))
    assert ratios[DEFAULT] == pytest.approx(0.8)
    assert ratios[WITHIN] == pytest.approx(1 - 0.1 * 2 / 3)
    assert ratios[TRAINED] == pytest.approx(0.9)


def test_one_period_of_one_item_has_a_best_factor_within_its_error() -> None:
    assert judged(cell((0.1,), 0.3, (*FACTORS, 1.5)))["smallest factor within one standard error"] == pytest.approx(0.7)


def test_a_single_period_cannot_be_held_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judged(cell((0.1,), 0.3), rules=[BEFORE])[BEFORE] == 1.0


def test_a_factor_at_which_the_model_diverged_does_not_count() -> None:
    diverged = cell((0.1, 0.12, 0.11), 0.1, (*FACTORS, 1.5))
    diverged["path"]["validation"][-1] = diverged["path"]["test"][-1] = [[float("nan")]] * 3
    assert judged(diverged)[DEFAULT] == pytest.approx(1 - 0.1 * 2 / 3)


def test_a_gain_within_the_noise_is_left() -> None:
    ratios = judged(cell((0.5, -0.4, 0.3, -0.38, 0.0), -0.2))
    assert ratios[TODAY] == pytest.approx(1.2)
    assert ratios[DEFAULT] == ratios[BEFORE] == 1.0
    assert ratios[SHRUNK] > 1


def test_the_report_counts_cases_that_are_worse() -> None:
    cells = [cell((0.1, 0.1, 0.1), -0.2), cell((0.1, 0.1, 0.1), 0.2, cut=1)]
    row = next(row for row in rule_rows(cells) if row["rule"] == TRAINED)
    assert (row["cases"], row["worse by over 1 %"], row["worst"]) == (2, "50%", "-20.00%")
    assert "2 cells" in summarise(cells, "made")


def test_fits_are_held_beside_zero_shot_and_sets_kept_apart() -> None:
    known = {"returned": {"test": [[0.9, None], [0.9, 0.9]]}, "winner": "head"}
    fits = [cell((0.0,), 0.0, dataset=name, method="default", **known) for name in ("ETTh1", "weather", "m3_yearly")]
    assert returned(fits[0]) == pytest.approx(0.9)
    assert {(row["sets"], row["cases"]) for row in fit_rows(fits)} == {
        ("long", 2), ("long, to choose by", 1), ("long, to confirm", 1), ("panels", 1),
    }  # fmt: skip


def test_trace_is_paired_with_others_on_the_same_cases_and_seeds_are_one_case() -> None:
    cells = [
        cell((0.1,), gain + 0.01 * cut, method=method, cut=cut, seed=seed, dataset=name)
        for method, gain in (("trace .25", 0.3), ("random .25", 0.2))
        for cut in range(3)
        for seed in range(2)
        for name in ("a", "b")
    ]
    row = next(row for row in pair_rows(cells) if row["rule"] == TRAINED)
    assert (row["other"], row["cases"], row["better in"]) == ("random .25", 6, "100%")
    assert row["p"] == pytest.approx(0.0312, abs=1e-3)  # of six pairs of one sign: 2 / 2^6


def test_the_grid_tells_the_worst_from_the_best() -> None:
    cells = [
        cell((0.1, 0.1, 0.1), gain, method=f"lora, rate {rate}", settings={"steps": 100})
        for rate, gain in ((1, 0.2), (2, -0.2))
    ]
    row = grid_rows(cells)[0]
    assert (row["settings"], row["worst above best"]) == (2, "50.0%")


def test_cells_are_named_by_what_decides_them_and_losses_are_means_of_groups() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    groups = SampleGroups(np.array([0, 0, 1]), np.array([0, 0, 1]))
    assert in_groups(np.array([1.0, 3.0, 5.0]), groups) == [[2.0, None], [None, 5.0]]
    assert all(trial in TRIALS for stage in STAGES for trial in stage.trials)
    assert (horizon_of("national_illness", 96), horizon_of("ETTh1", 336)) == (24, 336)


def rate_cell(rate: float, steps: int, validation_gain: float, test_gain: float) -> dict[str, Any]:
    rest = {"method": f"lora, rate {rate:g}, best step", "settings": {"steps": steps}}
    return cell((validation_gain,) * 4, test_gain, **rest)


def test_a_rate_is_chosen_by_its_trial_and_the_better_of_trial_and_whole_training_is_taken() -> None:
    trials = [rate_cell(5e-4, 25, 0.1, 0.1), rate_cell(2e-3, 25, 0.2, 0.2), rate_cell(8e-3, 25, 0.3, 0.3)]
    wholes = [rate_cell(5e-4, 100, 0.6, 0.6), rate_cell(2e-3, 100, 0.5, 0.5)]
    assert rate_rows([*trials, *wholes]) == []  # one is missing
    (row,) = rate_rows([*trials, *wholes, rate_cell(8e-3, 100, 0.4, 0.15)])
    assert (row["taken"], row["auto"], row["three whole"]) == ("0.008, 100 steps", 0.9, 0.6)
    assert (row["0.0005"], row["0.002"], row["0.008"]) == (0.6, 0.6667, 0.9)
    (row,) = rate_rows([*trials, *wholes, rate_cell(8e-3, 100, 0.2, 0.15)])
    assert (row["taken"], row["auto"]) == ("0.008, 25 steps", 0.8)


def test_published_cells_name_what_they_share_once() -> None:
    settings = {"context": 256, "steps": 100}
    trial = cell((0.1, 0.12, 0.11, 0.1, 0.09), 0.3, settings=settings)
    whole = cell((0.1,), 0.3, settings={**settings, "steps": 80}, returned={"test": [[0.8]]}, winner="head")
    header, (first, second) = published([trial, whole])
    assert header["settings"] == {"context": 256}
    assert dict(zip(header["rules"], first["path"], strict=True)) == {
        rule: pytest.approx(ratio, abs=1e-5) for rule, ratio in judged(trial).items()
    }
    assert (first["steps"], second["steps"]) == (100, 80)
    assert (second["winner"], second["ratio"]) == ("head", pytest.approx(0.8))
    assert "path" not in second


def test_a_rule_that_a_published_cell_does_not_have_is_null() -> None:
    trial = cell((0.1, 0.12, 0.11), 0.3)
    without = {**trial, "path": {name: trial["path"][name] for name in ("validation", "test")}}
    header, (_, second) = published([trial, without])
    known = {rule for rule, ratio in zip(header["rules"], second["path"], strict=True) if ratio is not None}
    assert known == set(judged(without)) < set(judged(trial))
