"""Configurations of a selection: what a model and a run make of them, and how wrong ones are explained."""

import math
import re

import pytest

from tracetune.base.config import from_mapping, settings
from tracetune.base.errors import InputError
from tracetune.recipes.settings.finetune import SelectionChoice
from tracetune.selection.budgets.budget import budget_of
from tracetune.selection.config import WITHOUT_FLAG, SelectionConfig
from tracetune.selection.rounds.schedule import Schedule

COUNTS = {"a": 10, "b": 20, "c": 30, "d": 40}


def test_shares_and_numbers() -> None:
    config = SelectionConfig(keep=0.5, warmup_steps=0.1, final_step=50, interval=0.05)
    assert config.schedule(100, budget_of("modules", COUNTS)) == Schedule(
        start=10, stop=50, interval=5, full=4, final=2
    )
    assert config.schedule(100, budget_of("parameters", COUNTS)) == Schedule(10, 50, 5, full=100, final=50)
    assert config.last_round(100) == 50
    assert SelectionConfig().schedule(1, budget_of("modules", COUNTS)) == Schedule(0, 1, 1, 4, 2)
    auto = SelectionConfig(keep="auto", smallest_share=0.25)
    assert auto.schedule(100, budget_of("modules", COUNTS)).final == 1
    assert SelectionConfig(keep="auto", smallest_share=1).schedule(100, budget_of("modules", COUNTS)).final == 4


WRONG = [
    ({"keep": 0}, "Expected keep to be 'auto', a share in"),
    ({"keep": 0.0}, "Expected keep to be"),
    ({"keep": 1.5}, r"found 1\.5"),
    ({"keep": True}, "found True"),
    ({"keep": "all"}, "found 'all'"),
    ({"keep": math.nan}, "found nan"),
    ({"final_step": 0.0}, "Expected final_step"),
    ({"interval": 0}, "Expected interval"),
    ({"warmup_steps": -1}, "Expected warmup_steps"),
    ({"warmup_steps": 0.7}, "warmup_steps <= final_step, found 0.7 and 0.6"),
    ({"warmup_steps": 30, "final_step": 20}, "warmup_steps <= final_step, found 30 and 20"),
    ({"keep": 12, "budget_unit": "time"}, "share such as 0.5 with budget_unit='time', found 12"),
    ({"cost_share": 0.0}, r"cost_share above 0, such as 0\.05"),
    ({"ema": 1.0}, r"ema in \[0, 1\)"),
    ({"smallest_share": 0.0}, "smallest_share"),
    ({"n_masks": 1}, "n_masks of at least 2, found 1"),
    ({"scoring_batches": 0}, "scoring_batches of at least 1"),
    ({"score": "dsic"}, "Did you mean 'gated_dsic'"),
    ({"context": "budgets"}, "Unknown context"),
    ({"masks": "none"}, "Unknown masks"),
    ({"budget_unit": "bytes"}, "Known: modules, parameters, time"),
    ({"keeps": 1}, "Did you mean 'keep'"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_wrong_values_are_explained(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(SelectionConfig, values)


@pytest.mark.parametrize("values", [values for values, _ in WRONG] + [{"ties": -1.0}, {"significance": math.inf}])
def test_the_command_line_names_flags_and_only_those_that_there_are(values: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        from_mapping(SelectionConfig, values)
    said = refused.value.for_command_line()
    flags = {f"--{name.replace('_', '-')}" for name in settings(SelectionChoice)}
    assert set(re.findall(r"--[a-z-]+", said)) <= flags
    if "keeps" not in values:  # an unknown name is repeated as it was given
        assert not re.search(r"(?<!')\b[a-z]+_[a-z_]+", said.partition("Did you mean")[0].partition("Known:")[0])


def test_settings_without_a_flag_are_known() -> None:
    assert settings(SelectionConfig).keys() - settings(SelectionChoice).keys() - {"seed"} == WITHOUT_FLAG


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SelectionConfig(keep=5), "keep between 1 and 4 modules in this model, found 5"),
        (
            SelectionConfig(keep=9, budget_unit="parameters"),
            "keep between 10 and 100 parameters in this model, found 9",
        ),
        (SelectionConfig(final_step=101), "final_step <= 100 training steps, found 10 and 101"),
        (SelectionConfig(warmup_steps=70), "found 70 and 60"),
        (SelectionConfig(warmup_steps=70, budget_unit="time"), "found 70 and 60"),
    ],
)
def test_what_only_the_model_and_the_run_can_refuse(config: SelectionConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.check(100, COUNTS)
    SelectionConfig(budget_unit="time").check(100, COUNTS)


def test_messages_name_the_flags_on_the_command_line() -> None:
    for wrong, words in (
        ({"keep": 0.0}, "Expected --keep to be"),
        ({"cost_share": 0.0}, "Expected --cost-share above 0"),
        ({"ema": 1.0}, "Expected --ema in"),
        ({"warmup_steps": 0.9}, "Expected --warmup-steps <= --final-step"),
        ({"keep": 3, "budget_unit": "time"}, "a share such as 0.5 with --budget-unit time"),
    ):
        with pytest.raises(InputError) as caught:
            SelectionConfig(**wrong)  # type: ignore[arg-type]
        assert words in caught.value.for_command_line()
        assert "--" not in str(caught.value)
