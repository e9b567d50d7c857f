from typing import Any

from tracetune.report.candidates import candidate_rows, verdict

UNKNOWN_RATE = {"training": {"learning_rate": None}}


def candidate(name: str, simpler: str | None = None, gain: float | None = None, **rest: Any) -> dict[str, Any]:
    return {"name": name, "validation_loss": 1.0, "simpler": simpler, "gain": gain, "better": True} | rest


def test_each_comparison_is_put_into_words() -> None:
    trace = {
        "config": UNKNOWN_RATE,
        "winner": "head",
        "validation": {"margin": 1.0},
        "candidates": [
            candidate("zero-shot", error=None),
            candidate("head", "zero-shot", 1.0, error=0.09, factor=0.75),  # a third of the loss
            candidate("trace", "head", 0.001, error=0.002, better=False),
        ],
    }
    assert verdict(trace) == (
        "head is better than zero-shot by 67 % of the loss, standard error 4 %. trace is better than head by 0.1 % of "
        "the loss, standard error 0.2 %: less than one standard error, which may be noise. head comes out."
    )
    rows = candidate_rows(trace)
    assert (rows[1]["factor"], rows[1]["beside"], rows[1]["loss less by"]) == (0.75, "zero-shot", "67 %")


def test_shares_are_written_without_powers_of_ten() -> None:
    shares = {-1.35: "-420 %", -1.99995: "-8,000,000 %", 0.66: "50 %", 0.0001: "0.01 %"}
    for gain, text in shares.items():
        trace = {"candidates": [candidate("head", "zero-shot", gain, error=None)]}
        assert candidate_rows(trace)[0]["loss less by"] == text


def test_a_model_with_more_to_show_is_held_against_that() -> None:
    head = candidate("head", "zero-shot", 0.03, error=0.04, better=False, margin=1.0)
    candidates = [candidate("zero-shot"), head]
    trace = {
        "config": UNKNOWN_RATE,
        "winner": "zero-shot",
        "validation": {"margin": 0.5},
        "candidates": candidates,
    }
    assert "standard error 3.9 %: less than one standard error" in verdict(trace)


def test_an_unknown_error_is_said() -> None:
    trace = {
        "config": UNKNOWN_RATE,
        "winner": "zero-shot",
        "validation": {"margin": 1.0},
        "candidates": [
            candidate("head", "zero-shot", 0.05, error=None),
            candidate("trace", "head", -0.1, error=0.1, better=False),
        ],
    }
    assert "one period of one series does not say how sure" in verdict(trace)
    assert "trace is not better than head." in verdict(trace)


def test_the_learning_rate_of_the_method_is_said() -> None:
    trace = {
        "method": "full",
        "config": {"training": {"learning_rate": 5e-5}},
        "winner": "full",
        "validation": {"margin": 1.0, "learning_rates": []},
        "candidates": [candidate("full")],
    }
    assert verdict(trace) == "full trained at a learning rate of 5e-05. full comes out."
    assert verdict(trace | {"config": UNKNOWN_RATE}) == "full comes out."


def test_learning_rates_that_were_tried_are_said() -> None:
    def rate(learning_rate: float, steps: int, loss: float | None, *, taken: bool = False) -> dict[str, Any]:
        return {"learning_rate": learning_rate, "steps": steps, "validation_loss": loss, "taken": taken}

    tried = [rate(5e-4, 25, 0.51239), rate(8e-3, 25, None), rate(5e-4, 100, 0.4, taken=True)]
    trace = {
        "config": UNKNOWN_RATE,
        "winner": "lora",
        "validation": {"margin": 1.0, "learning_rates": tried},
        "candidates": [candidate("lora")],
    }
    assert verdict(trace) == (
        "Learning rates: 0.0005 for 25 steps (loss 0.5124), 0.008 for 25 steps (diverged), 0.0005 for 100 steps "
        "(loss 0.4). What was trained at 0.0005 for 100 steps competes. lora comes out."
    )


def test_a_naive_forecast_that_wins_is_said_plainly() -> None:
    trace = {
        "config": UNKNOWN_RATE,
        "winner": "head",
        "validation": {"margin": 1.0},
        "naive": {"repeat last": 1.5, "seasonal naive (7)": 0.9},
        "candidates": [candidate("head")],
    }
    assert "But a naive forecast does at least as well: seasonal naive (7) has 0.9, head 1." in verdict(trace)
    assert [row["name"] for row in candidate_rows(trace)] == ["repeat last", "seasonal naive (7)", "head"]
    assert "naive" not in verdict(trace | {"naive": {"repeat last": 1.5}})


def test_a_loss_of_zero_cannot_fall() -> None:
    trace = {"candidates": [candidate("linear"), candidate("head", "linear", -2.0, error=0.1, better=False)]}
    row = candidate_rows(trace)[1]
    assert (row["loss less by"], row["standard error"]) == (None, None)
