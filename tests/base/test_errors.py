"""Errors name what would have worked."""

from tracetune.base.errors import unknown_name


def test_the_nearest_name_is_suggested() -> None:
    message = str(unknown_name("method", "linear-probe", ["lora", "linear_probe", "full"]))
    assert message == ("Unknown method 'linear-probe'. Did you mean 'linear_probe'? Known: full, linear_probe, lora.")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert "Did you mean" not in str(unknown_name("method", "xyz", ["lora"]))


def test_the_case_and_the_owner_of_a_name_may_be_left_out() -> None:
    message = str(unknown_name("model", "moment-1-smal", ["AutonLab/MOMENT-1-small", "tracetune/tiny"]))
    assert "Did you mean 'AutonLab/MOMENT-1-small'?" in message
