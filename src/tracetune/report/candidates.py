"""The candidates of a fit in a table and in words: their validation losses, and whether differences exceed noise."""

from tracetune.base.json_types import JsonObject


def candidate_rows(trace: JsonObject) -> list[dict[str, object]]:
    """Return one row a candidate of a record: its loss, factor of shrinkage, and how much less that is beside which.

    The naive forecasts come first; they are references, not candidates.
    """
    naive: list[dict[str, object]] = [{"name": name, "loss": loss} for name, loss in trace.get("naive", {}).items()]
    return naive + [
        {
            "name": each["name"],
            "loss": each["validation_loss"],
            "factor": each.get("factor"),
            "beside": each.get("simpler"),
            "loss less by": _percent(fall(each.get("gain"))),
            "standard error": _percent(fall_error(each.get("gain"), each.get("error"))),
        }
        for each in trace["candidates"]
    ]


def verdict(trace: JsonObject) -> str:
    """Return at which learning rate the method trained, and why the winner has won, a sentence for each comparison."""
    margin = trace["validation"]["margin"]
    said = [_sentence({"margin": margin} | each) for each in trace["candidates"] if each.get("gain") is not None]
    return " ".join([*_rates(trace), *said, f"{trace['winner']} comes out.", *_beside_naive(trace)])


def _rates(trace: JsonObject) -> list[str]:
    """Return the learning rate of the method; or which ones were tried, how long, and which one competes."""
    rates = trace["validation"].get("learning_rates", [])
    if not rates:
        rate = trace["config"]["training"]["learning_rate"]
        return [] if rate is None else [f"{trace['method']} trained at a learning rate of {rate:g}."]
    said = [
        f"{each['learning_rate']:g} for {each['steps']} steps "
        + ("(diverged)" if each["validation_loss"] is None else f"(loss {each['validation_loss']:.4g})")
        for each in rates
    ]
    (taken,) = (text.rpartition(" (")[0] for text, each in zip(said, rates, strict=True) if each["taken"])
    seconds = trace.get("seconds", {}).get("learning_rates")
    cost = "" if seconds is None else f" Trying the others took {seconds:.0f} s."
    return [f"Learning rates: {', '.join(said)}. What was trained at {taken} competes.{cost}"]


def _beside_naive(trace: JsonObject) -> list[str]:
    """Return a warning where a naive forecast is as good as the winner."""
    naive = trace.get("naive", {})
    if not naive:
        return []
    winner = next(each["validation_loss"] for each in trace["candidates"] if each["name"] == trace["winner"])
    best = min(naive, key=naive.__getitem__)
    if winner < naive[best]:
        return []
    return [
        f"But a naive forecast does at least as well: {best} has {naive[best]:.4g}, {trace['winner']} {winner:.4g}. "
        f"On these data the model adds nothing; {_remedy(trace)}."
    ]


def _remedy(trace: JsonObject) -> str:
    """Return what may help a model that is no better than a naive forecast."""
    as_they_are = trace.get("resolutions") == [1] and not trace.get("trend") and trace.get("season") in (None, 1)
    if as_they_are:
        return "--resolution auto, which also takes trend and season out, more history or a shorter horizon may help"
    return "more history or a shorter horizon may help"


def _sentence(candidate: JsonObject) -> str:
    name, simpler, gain, error, margin = (candidate[key] for key in ("name", "simpler", "gain", "error", "margin"))
    if error is None:
        found = "better" if candidate["better"] else "not better"
        return f"{name} is {found} than {simpler}; one period of one series does not say how sure that is."
    if gain <= 0:
        return f"{name} is not better than {simpler}."
    by = f"by {_percent(fall(gain))} of the loss, standard error {_percent(fall_error(gain, error))}"
    if candidate["better"]:
        return f"{name} is better than {simpler} {by}."
    if gain > margin * error:
        return f"{name} is better than {simpler} {by}, but not in the mean over all windows."
    return f"{name} is better than {simpler} {by}: less than {_errors(margin)}, which may be noise."


def _errors(margin: float) -> str:
    return {0.5: "half a standard error", 1: "one standard error"}.get(margin, f"{margin:g} standard errors")


def fall(gain: float | None) -> float | None:
    """Return the share by which the loss falls at a relative gain, which measures by the mean of both losses.

    With s = (a - b) / ((a + b) / 2) the share (a - b) / a is 2 s / (2 + s); None at s = -2, where a = 0 cannot fall.
    """
    return None if gain is None or gain <= -2 else 2 * gain / (2 + gain)


def fall_error(gain: float | None, error: float | None) -> float | None:
    """Return the standard error of that share, to first order: 4 / (2 + s)^2 times that of the gain."""
    return None if gain is None or gain <= -2 or error is None else 4 * error / (2 + gain) ** 2


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{float(f'{100 * share:.2g}'):,.10g} %"  # 420 %, not 4.2e+02 %
