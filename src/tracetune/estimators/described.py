"""One line that describes an estimator, and the refusal of scikit-learn's clone, for all of them."""

from typing import NoReturn

from tracetune.base.argument_types import check_methods
from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject

_LENGTHS = ("prediction_length", "context_length", "max_length")
_MOST_CHANNELS = 3


class Described:
    """An estimator that shows what it is, its foundation model, and what it was fitted on.

    Attributes:
        base_name: of the foundation model that it is, or was tuned from.
        trace: the record of the fit; None before it.
    """

    base_name: str
    trace: JsonObject | None

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        check_methods(cls)

    def __repr__(self) -> str:
        lengths = [f"{name}={getattr(self, name)}" for name in _LENGTHS if hasattr(self, name)]
        state = "not fitted" if self.trace is None else self._fit_in_words(self.trace)
        return f"<{type(self).__name__} {', '.join([repr(self.base_name), *lengths, state])}>"

    def __sklearn_clone__(self) -> NoReturn:
        """Refuse `sklearn.base.clone`.

        Raises:
            InputError: always; scikit-learn fits a clone in place and leaves aside what ``fit`` returns.
        """
        name = type(self).__name__
        raise InputError(
            f"scikit-learn's clone is of no use here: its tools fit the clone in place and go on with that, while fit "
            f"of {name} returns a new {name} and leaves this one as it is. Fit this one on each part of the data, or "
            "copy it with copy.deepcopy."
        )

    def _learned_from(self, trace: JsonObject) -> str:
        """Return in words how much the fit was given."""
        data, classes, channels = trace.get("data") or {}, trace.get("classes"), trace.get("channels")
        samples = data.get("samples") or data.get("train_samples", 0) + data.get("validation_samples", 0)
        words = _counted(samples, "sample") if samples else _counted(data.get("items", 0), "item")
        if classes:
            return f"{words} of {_counted(len(classes), 'class', 'classes')}"
        names = data.get("channels") or channels
        return f"{words} ({_listed(names)})" if isinstance(names, (list, tuple)) else words

    def _fit_in_words(self, trace: JsonObject) -> str:
        method, winner = trace.get("method"), trace.get("winner")
        with_method = f" with {method}" if method else ""
        chosen = f", chosen: {winner}" if winner else ""
        return f"fitted{with_method} on {self._learned_from(trace)}{chosen}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    more = f", ... {len(names)} in all" if len(names) > _MOST_CHANNELS else ""
    return ", ".join(map(str, names[:_MOST_CHANNELS])) + more


def _counted(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
