"""Errors name what would have worked, in the words of the interface, and stay short."""

import pickle

import pytest

from tracetune.base.errors import InputError, any_of, argument, either, shown, unknown_name


def test_the_nearest_name_is_suggested() -> None:
    message = str(unknown_name("method", "linear-probe", ["lora", "linear_probe", "full"]))
    assert message == ("Unknown method 'linear-probe'. Did you mean 'linear_probe'? Known: full, linear_probe, lora.")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert "Did you mean" not in str(unknown_name("method", "xyz", ["lora"]))


def test_the_case_and_the_owner_of_a_name_may_be_left_out() -> None:
    message = str(unknown_name("model", "moment-1-smal", ["AutonLab/MOMENT-1-small", "tracetune/tiny"]))
    assert "Did you mean 'AutonLab/MOMENT-1-small'?" in message


def test_an_argument_is_a_flag_on_the_command_line() -> None:
    error = InputError(f"Expected {argument('prediction_length')} below 5. Use {argument('prediction_length', 4)}.")
    assert str(error) == "Expected prediction_length below 5. Use prediction_length=4."
    assert error.for_command_line() == "Expected --prediction-length below 5. Use --prediction-length 4."


@pytest.mark.parametrize(
    ("marked", "python", "command_line"),
    [
        (argument("sort", True), "sort=True", "--sort"),
        (argument("sort", False), "sort=False", "--no-sort"),
        (argument("method", "lora"), "method='lora'", "--method lora"),
        (argument("target", ["a", "b c"]), "target=['a', 'b c']", "--target 'a,b c'"),
        (argument("separator", ";"), "separator=';'", "--separator ';'"),
        (
            any_of("target", range(5), 2),
            "target=0 or target=1 (or another of 5)",
            "--target 0 or --target 1 (or another of 5)",
        ),
        (argument("quantile_levels", flag="--quantiles"), "quantile_levels", "--quantiles"),
        (either("Call fit first", "Run tracetune finetune"), "Call fit first", "Run tracetune finetune"),
    ],
)
def test_words_of_both_interfaces(marked: str, python: str, command_line: str) -> None:
    error = InputError(f"A {marked} B")
    assert (str(error), error.for_command_line()) == (f"A {python} B", f"A {command_line} B")


def test_errors_survive_a_process_border_with_their_marks() -> None:
    error = pickle.loads(pickle.dumps(InputError(argument("stride"))))
    assert (str(error), error.for_command_line()) == ("stride", "--stride")


def test_long_values_do_not_make_long_messages() -> None:
    message = str(InputError(f"Expected numbers, found {'x' * 3_000_000}. Repair the cell."))
    assert len(message) < 2000
    assert message.startswith("Expected numbers, found xxx")
    assert message.endswith("xxx. Repair the cell.")
    assert len(str(unknown_name("method", "lora" * 1_000_000, ["lora"]))) < 2000
    assert shown(list(range(10_000)), 40).startswith("[0, 1, 2")
    assert len(shown("a" * 999, 40)) == 40
