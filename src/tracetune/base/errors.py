"""The one error class users see, and the helper that suggests the nearest known name."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Wrong use or unusable input: says what was expected, what was found, and what to do.

    The command line maps it to exit status 2; every other exception is a failure (status 1).
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is not in a registry, with the nearest names and all that exist.

    Args:
        kind: what was looked up, e.g. ``"method"``; begins the message.
        name: the name as given.
        known: every name that would have worked.
    """
    names = sorted(known)
    # "moment" is near "AutonLab/MOMENT-1-small": the case and the owner of a name are easily left out.
    spellings = {spelling: n for n in names for spelling in (n.lower().rpartition("/")[2], n.lower())}
    close = get_close_matches(name.lower(), spellings, n=3, cutoff=0.5)
    nearest = list(dict.fromkeys(spellings[spelling] for spelling in close))
    hint = f" Did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
    return InputError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
